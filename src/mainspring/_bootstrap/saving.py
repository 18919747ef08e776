"""``ws.models.save``: a model that somebody has in hand becomes a version, with its plan.

The object is asked for its own answers to sample rows and to boundary rows; the form that is kept
is the first that gives the same, and the package holds what was tried.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
from msgspec.structs import replace

from mainspring._bootstrap.runtimes import known_runtimes, packers
from mainspring.core.digest import sha256
from mainspring.core.errors import Invalid, MainspringError
from mainspring.core.schema import InputColumn, Signature
from mainspring.projects.packaging import environment
from mainspring.registry.details import Details
from mainspring.registry.manifest import Decision, Manifest
from mainspring.registry.plan import Trial, Way
from mainspring.registry.types import Because, Version
from mainspring.serving.boundary import answers_at, boundary_rows, cannot_answer
from mainspring.serving.golden import GOLDEN_FILE, golden_bytes
from mainspring.serving.planning import (
    Chosen,
    Replay,
    choose,
    default_tolerance,
    judge,
    timed,
)
from mainspring.training.encoding import matrix

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mainspring._bootstrap.workspace import Workspace
    from mainspring.serving.ports import Packer, Runtime

    Columns = Mapping[str, NDArray[Any]]

GOLDEN_ROWS: Final = 64
MOST_SAMPLE_ROWS: Final = 20_000
Output = Literal["probability", "value"]


@dataclass(frozen=True, slots=True)
class Saving:
    """Keeps models of any library in a workspace's registry."""

    workspace: Workspace

    def save(
        self,
        name: str,
        model: object,
        *,
        sample: Any,
        output: Output = "probability",
        decision: Decision | None = None,
        tolerance: float | None = None,
        prefer: Way | None = None,
        trust: Collection[str] = (),
        categories: Mapping[str, Sequence[str]] | None = None,
        details: Details | None = None,
    ) -> Version:
        """The next version of the model, made at the first use of its name.

        ``model``: a scikit-learn estimator or pipeline, a booster of LightGBM, XGBoost or CatBoost,
        a module or exported program of PyTorch, or the bytes of an ONNX or ``.pt2`` file. ``sample``: rows it can answer, as columns by name in the
        order it was trained on (a mapping, or a data frame); some hundred that look like those to
        come. ``categories``: for inputs of texts, the values in the order of their codes; those of
        the sample, sorted, if absent. ``tolerance``: how far an answer may be off; a millionth
        (of the answers' spread, for values) if absent. ``prefer`` is tried first. ``trust``: types
        of your own that skops may keep, once you have read their code.

        Errors: ``serving.not_packable``, ``serving.not_faithful`` when no form answers as the
        object does, ``serving.untrusted_types``, ``serving.extra_missing``.
        """
        packer = _packer(model, trust)
        columns = _columns(sample)
        signature = Signature(_inputs(columns, categories or {}), output)
        replay = _replay(packer, model, columns, signature)
        threshold = decision.threshold if decision else None
        replay = _with(replay, threshold, tolerance, signature)
        forms = sorted(packer.forms(model, signature), key=lambda form: form.way != prefer)
        known = known_runtimes(self.workspace.settings, trust)
        chosen = choose(forms, replay, signature, known)
        if bool(self.workspace.setting("compiled")) and chosen.form.runtime == "lightgbm":
            chosen = _with_kernel(chosen, replay, signature, known)
        return self._register(name, chosen, (columns, replay, signature), decision, details)

    def _register(
        self,
        name: str,
        chosen: Chosen,
        seen: tuple[Columns, Replay, Signature],
        decision: Decision | None,
        details: Details | None,
    ) -> Version:
        columns, replay, signature = seen
        known = np.flatnonzero(np.isfinite(replay.answers[: replay.sample_rows]))[:GOLDEN_ROWS]
        if not len(known):
            raise Invalid(
                "serving.not_packable",
                "The model answers no row of the sample with a number.",
                hint="Give sample rows without missing values, unless the model knows them.",
            )
        first = {key: _plain(values[known]) for key, values in columns.items()}
        golden = golden_bytes(
            signature, first, replay.answers[known], tolerance=max(1e-9, replay.tolerance)
        )
        files = {**chosen.files, GOLDEN_FILE: golden}
        manifest = Manifest(
            name=name,
            task="binary" if signature.output == "probability" else "regression",
            runtime=chosen.form.runtime,
            signature=signature,
            files={path: sha256(data) for path, data in files.items()},
            decision=decision,
            golden=GOLDEN_FILE,
            plan=chosen.plan,
            environment=environment(),
        )
        because = Because(why=chosen.plan.why[:1000], actor=self.workspace.actor)
        registry = self.workspace.registry
        registry.models.register(name, exists_ok=True, because=because)
        return registry.versions.create(name, manifest, files, details=details, because=because)


def _with_kernel(
    chosen: Chosen, replay: Replay, signature: Signature, known: Mapping[str, Runtime]
) -> Chosen:
    """The same choice, with what our compiled kernel answered: equal to the bit, or not used."""
    name = chosen.form.runtime
    native = known_runtimes()[name].load(chosen.files, signature)
    fast = known[name].load(chosen.files, signature)
    trial = Trial(
        way="native",
        runtime="lightgbm (kernel)",
        accepted=False,
        why="the kernel does not know its trees, or there is no C compiler",
        sample_rows=replay.sample_rows,
        boundary_rows=len(replay.rows) - replay.sample_rows,
    )
    if type(fast) is not type(native):
        exact = Replay(replay.rows, native.predict(replay.rows), replay.sample_rows, 0.0)
        row, batch = timed(fast, replay.rows[: replay.sample_rows])
        trial = judge(
            replace(trial, row_microseconds=row, batch_microseconds=batch),
            fast.predict(replay.rows),
            exact,
        )
    plan = replace(chosen.plan, compiled=trial)
    return Chosen(chosen.form, chosen.files, plan)


def _packer(model: object, trust: Collection[str]) -> Packer:
    for packer in packers(trust):
        if packer.takes(model):
            return packer
    raise Invalid(
        "serving.not_packable",
        f"A {type(model).__module__}.{type(model).__qualname__} is of no library that is known.",
        hint="Give a scikit-learn estimator, a booster of LightGBM, XGBoost or CatBoost, a module "
        "or exported program of PyTorch, or the bytes of an ONNX file.",
    )


def _columns(sample: Any) -> Columns:
    """The sample's columns, at most 20,000 rows spread over it."""
    columns = {str(name): np.asarray(sample[name]) for name in sample}
    rows = len(next(iter(columns.values()))) if columns else 0
    if not rows or any(values.shape != (rows,) for values in columns.values()):
        raise Invalid(
            "serving.bad_rows",
            "The sample is no table: it needs rows, and columns of one length.",
            hint="Give a mapping of column names to arrays, or a data frame.",
        )
    if rows <= MOST_SAMPLE_ROWS:
        return columns
    places = np.linspace(0, rows - 1, MOST_SAMPLE_ROWS).astype(np.intp)
    return {name: values[places] for name, values in columns.items()}


def _inputs(columns: Columns, given: Mapping[str, Sequence[str]]) -> tuple[InputColumn, ...]:
    return tuple(
        InputColumn(name, "number")
        if values.dtype.kind in "biuf" and name not in given
        else InputColumn(name, "category", tuple(given.get(name) or _seen(values)))
        for name, values in columns.items()
    )


def _seen(values: NDArray[Any]) -> list[str]:
    return sorted({value for value in values.tolist() if isinstance(value, str)})


def _plain(values: NDArray[Any]) -> NDArray[Any]:
    """Texts and None for a category, floats for a number, as a golden sample stores them."""
    if values.dtype.kind in "biuf":
        return values.astype(np.float64)
    texts = [value if isinstance(value, str) else None for value in values.tolist()]
    return np.array(texts, dtype=object)


def _replay(packer: Packer, model: object, columns: Columns, signature: Signature) -> Replay:
    """Sample and boundary rows with the object's own answers, and those that it refuses."""
    plain = {name: _plain(values) for name, values in columns.items()}
    seen = matrix(plain, signature.inputs)
    try:
        answers = packer.answers(model, columns, signature)
    except (ValueError, TypeError) as error:
        if isinstance(error, MainspringError):
            raise
        raise cannot_answer(f"its sample: {error}") from error
    edges = answers_at(
        boundary_rows(seen, signature, packer.thresholds(model)),
        seen,
        signature,
        lambda rows: packer.answers(model, _decoded(rows, signature), signature),
    )
    return Replay(
        rows=np.ascontiguousarray(np.concatenate([seen, edges.rows])),
        answers=np.concatenate([answers, edges.answers]),
        sample_rows=len(seen),
        tolerance=0.0,
        refused=edges.refused if len(edges.refused) else None,
    )


def _with(
    replay: Replay, threshold: float | None, tolerance: float | None, signature: Signature
) -> Replay:
    if tolerance is None:
        tolerance = default_tolerance(replay.answers[: replay.sample_rows], signature)
    return dataclasses.replace(replay, tolerance=tolerance, threshold=threshold)


def _decoded(rows: NDArray[np.float64], signature: Signature) -> Columns:
    """Encoded rows as columns; a category that is none is the empty text."""
    columns: dict[str, NDArray[Any]] = {}
    for place, one in enumerate(signature.inputs):
        values = rows[:, place]
        if one.type == "category":
            values = np.array([*one.categories, ""], dtype=object)[values.astype(np.intp)]
        columns[one.name] = values
    return columns
