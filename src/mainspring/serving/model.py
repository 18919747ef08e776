"""A model that is ready to answer: columns in, score and decision out, the same on every wire.

Loading checks everything a package promises, in this order: the manifest's digest, every file's
digest, no file that runs code or bursts, the runtime's own reading, the golden sample. Only then is there a model at all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from mainspring.core.digest import Digest, sha256
from mainspring.core.errors import Broken, Conflict, Invalid, NotFound, TimedOut, Unavailable
from mainspring.core.schema import InputColumn, Signature
from mainspring.ports.tables import Frame
from mainspring.registry.manifest import Manifest, read_manifest
from mainspring.serving.golden import check_golden, golden_frame, read_golden
from mainspring.serving.policy import POLICY_FILE, Policy, read_policy
from mainspring.serving.ports import Loaded, Runtime
from mainspring.serving.unsafe import refuse_unsafe
from mainspring.training.calibration import Calibration

Array = NDArray[np.float64]
Columns = Mapping[str, NDArray[Any]]

# What a runtime may raise on bad bytes or bad rows, besides our own errors.
FAILURES = (
    Invalid,
    Broken,
    Unavailable,
    TimedOut,
    ValueError,
    TypeError,
    RuntimeError,
    MemoryError,
)


# Runtimes whose models run in a process of their own and are never opened in this one.
FOREIGN = frozenset({"mlflow"})


@dataclass(frozen=True, slots=True)
class Scores:
    """What a model says of each row: a score, and yes or no when it has a decision policy."""

    score: Array
    decision: NDArray[np.bool_] | None


@dataclass(frozen=True, slots=True)
class Contributions:
    """What each input added to the raw sum of each row (log odds for a chance).

    Shapes: ``values`` (n, inputs + 1); the last column is what there is without any input.
    """

    names: tuple[str, ...]
    values: Array

    def row(self, place: int) -> dict[str, Any]:
        """One row's: the base, and the inputs from the largest on."""
        values = self.values[place].tolist()
        named = sorted(zip(self.names, values, strict=False), key=lambda one: -abs(one[1]))
        return {"base": values[-1], "contributions": dict(named)}


class MatrixColumns(Mapping[str, NDArray[Any]]):
    """Columns that came as one matrix in the order of a signature; each is cut out when asked for.

    Most requests are never looked at by column: the matrix goes to the model as it is, and the
    recorder cuts the columns off the hot path. Shapes: float64 (rows, inputs), categories as codes.
    """

    def __init__(self, matrix: Array, order: Order) -> None:
        self.order = order
        self.matrix = order.with_known_codes(matrix)

    def stack(self, all_of: Sequence[Mapping[str, NDArray[Any]]]) -> MatrixColumns | None:
        """The rows of all below each other; None where some came otherwise or in another order."""
        matrices = []
        for one in all_of:
            if not isinstance(one, MatrixColumns) or one.order is not self.order:
                return None
            matrices.append(one.matrix)
        stacked = MatrixColumns.__new__(MatrixColumns)
        stacked.order, stacked.matrix = self.order, np.concatenate(matrices)
        return stacked

    def __getitem__(self, name: str) -> NDArray[Any]:
        place = self.order.places[name]
        values = self.matrix[:, place]
        labels = self.order.labels[place]
        return values if labels is None else labels[values.astype(np.intp)]

    def __iter__(self) -> Iterator[str]:
        return iter(self.order.places)

    def __len__(self) -> int:
        return len(self.order.places)


class RowColumns(Mapping[str, NDArray[Any]]):
    """One row that came cell by cell, in the order of a signature; columns are made when asked for.

    ``cells``: a number or None, a text or None; kept where there are texts.
    """

    def __init__(self, cells: list[Any], order: Order) -> None:
        self.order = order
        self.cells = cells if order.has_texts else ()  # numbers are in the matrix
        self.matrix = order.row(cells)

    def stack(self, all_of: Sequence[Mapping[str, NDArray[Any]]]) -> Columns | None:
        """The rows of all below each other; None where some came otherwise or in another order."""
        rows = [one for one in all_of if isinstance(one, RowColumns) and one.order is self.order]
        if len(rows) < len(all_of):
            return None
        matrix = np.concatenate([one.matrix for one in rows])
        return {
            name: matrix[:, place]
            if labels is None
            else _objects([row.cells[place] for row in rows])
            for (name, place), labels in zip(
                self.order.places.items(), self.order.labels, strict=True
            )
        }

    def __getitem__(self, name: str) -> NDArray[Any]:
        place = self.order.places[name]
        if self.order.labels[place] is None:
            return self.matrix[:, place]
        return _objects([self.cells[place]])

    def __iter__(self) -> Iterator[str]:
        return iter(self.order.places)

    def __len__(self) -> int:
        return len(self.order.places)


def _objects(values: Sequence[Any]) -> NDArray[Any]:
    column = np.empty(len(values), dtype=object)
    column[:] = values
    return column


class Order:
    """The order of a signature's inputs, and what their codes stand for."""

    def __init__(self, signature: Signature) -> None:
        self.inputs = signature.inputs
        self.places = {column.name: place for place, column in enumerate(signature.inputs)}
        self.labels = [
            # Code -1 picks the last one.
            None if column.type == "number" else np.array([*column.categories, None], dtype=object)
            for column in signature.inputs
        ]
        self.has_texts = any(labels is not None for labels in self.labels)
        self._codes = [
            (place, codes)
            for place, column in enumerate(signature.inputs)
            if (codes := _codes(column)) is not None
        ]
        categories = [
            (place, len(column.categories))
            for place, column in enumerate(signature.inputs)
            if column.type == "category"
        ]
        self._categories = np.array([place for place, _ in categories], dtype=np.intp)
        self._limits = np.array([limit for _, limit in categories], dtype=np.float64)

    def row(self, cells: Sequence[Any]) -> Array:
        """One encoded row: missing numbers are NaN, texts are codes, and -1 where not known."""
        return np.array([self._coded(cells) if self._codes else cells], dtype=np.float64)

    def _coded(self, cells: Sequence[Any]) -> list[Any]:
        row = list(cells)
        for place, codes in self._codes:
            row[place] = codes.get(row[place], -1)
        return row

    def with_known_codes(self, matrix: Array) -> Array:
        """The matrix with every code that is no category's (and NaN) turned into -1."""
        if not len(self._categories):
            return matrix
        codes = matrix[:, self._categories]
        known = (codes >= 0) & (codes < self._limits) & (codes == np.floor(codes))
        if known.all():
            return matrix
        fixed = matrix.copy()
        fixed[:, self._categories] = np.where(known, codes, -1.0)
        return fixed


class ServedModel:
    """One loaded package. Encoding is pure; ``score`` may be called from one thread at a time."""

    def __init__(
        self, manifest: Manifest, loaded: Loaded, digest: Digest, *, steady: bool = False
    ) -> None:
        self.steady = steady
        self.manifest = manifest
        self.digest = digest
        self.signature: Signature = manifest.signature
        self.order = Order(manifest.signature)
        self.names = tuple(column.name for column in manifest.signature.inputs)
        self.codes = tuple(_codes(column) for column in manifest.signature.inputs)
        self._loaded = loaded
        self.policy: Policy | None = None
        self._calibration: Calibration | None = (
            None
            if manifest.calibration is None
            else msgspec.convert(manifest.calibration, type=Calibration)
        )

    def encode(self, columns: Mapping[str, NDArray[Any]], rows: int) -> Array:
        """The rows as the runtime wants them: signature order, categories as codes.

        A category that training never saw, or null, has code -1; a null number is NaN.
        """
        if isinstance(columns, MatrixColumns | RowColumns):
            order = columns.order
            if order is self.order or order.inputs == self.order.inputs:
                return columns.matrix
        matrix = np.empty((rows, len(self.names)), dtype=np.float64)
        for place, (name, codes) in enumerate(zip(self.names, self.codes, strict=True)):
            column = columns[name]
            if codes is None:
                matrix[:, place] = column
            else:
                code = codes.get
                matrix[:, place] = [code(value, -1) for value in column.tolist()]
        return matrix

    def score(self, matrix: Array) -> Scores:
        """Score and decision of encoded rows.

        Errors: ``serving.bad_output``; ``serving.prediction_failed`` when the rows without an
        answer are rows without a value.
        """
        raw = self._loaded.predict(matrix)
        if raw.shape != (len(matrix),):
            raise _bad_output(f"{raw.shape} numbers for {len(matrix)} rows")
        silent = ~np.isfinite(raw)
        if silent.any():
            if np.isnan(matrix[silent]).any(axis=1).all():
                raise self._missing(matrix[silent])
            raise _bad_output("a number that is not finite")
        score = raw if self._calibration is None else self._calibration.apply(raw)
        policy = self.manifest.decision
        return Scores(score, None if policy is None else score >= policy.threshold)

    def _missing(self, rows: Array) -> Invalid:
        """The refusal of rows without a value that the model cannot do without."""
        lacking = np.flatnonzero(np.isnan(rows).any(axis=0))[:10]
        names = ", ".join(self.names[place] for place in lacking)
        return Invalid(
            "serving.prediction_failed",
            "The model has no answer to rows in which a number is missing.",
            hint=f"Send numbers for {names}, or give the model a value for missing ones.",
            inputs=names,
        )

    def explain(self, matrix: Array) -> Contributions:
        """What each input added, per encoded row. Errors: ``serving.no_explanation``."""
        explain = getattr(self._loaded, "explain", None)
        if explain is None:
            raise Conflict(
                "serving.no_explanation",
                f"The runtime {self.manifest.runtime!r} cannot explain single predictions.",
                hint="LightGBM and linear models can; leave 'explain' out for others.",
                runtime=self.manifest.runtime,
            )
        return Contributions(self.names, explain(matrix))

    def predict(self, rows: Frame) -> Scores:
        """Score and decision of the rows of a frame that holds every input by name."""
        count = len(next(iter(rows.values()))) if rows else 0
        return self.score(self.encode(rows, count))


def load_model(
    digest: Digest, read: Callable[[Digest], bytes], runtimes: Mapping[str, Runtime]
) -> ServedModel:
    """The model of a package, checked and warmed up.

    Errors: ``serving.package_corrupt``, ``serving.package_unreadable``,
    ``serving.package_unsafe``, ``serving.unknown_runtime``, ``serving.golden_differs``,
    ``serving.extra_missing``.
    """
    manifest = _read_manifest(digest, read)
    runtime = runtimes.get(manifest.runtime)
    if runtime is None:
        raise NotFound(
            "serving.unknown_runtime",
            f"No runtime is called {manifest.runtime!r}.",
            hint=f"Known runtimes: {', '.join(sorted(runtimes))}.",
            runtime=manifest.runtime,
        )
    files = {path: _checked(path, at, read) for path, at in manifest.files.items()}
    if manifest.runtime not in FOREIGN:
        refuse_unsafe(files)
    loaded = runtime.load(files, manifest.signature, manifest.plan)
    model = ServedModel(manifest, loaded, digest, steady=runtime.steady)
    model.policy = read_policy(files.get(POLICY_FILE))
    _try_out(model, files)
    return model


def _read_manifest(digest: Digest, read: Callable[[Digest], bytes]) -> Manifest:
    data = _checked("manifest", digest, read)
    try:
        return read_manifest(data)
    except Invalid as error:
        raise Broken(
            "serving.package_unreadable",
            f"The manifest {digest} cannot be read: {error.message}",
            hint="Package the model again with this version of Mainspring.",
            digest=digest,
        ) from error


def _checked(path: str, digest: Digest, read: Callable[[Digest], bytes]) -> bytes:
    data = read(digest)
    if sha256(data) != digest:
        raise Broken(
            "serving.package_corrupt",
            f"The bytes of {path} do not match their digest.",
            hint="Restore the object store from a backup, or package the model again.",
            path=path,
            digest=digest,
        )
    return data


def _try_out(model: ServedModel, files: Mapping[str, bytes]) -> None:
    # A model without a golden sample is at least asked once, with every input missing: a first
    # request should neither pay for lazy initialisation nor find out that the model cannot run.
    path = model.manifest.golden
    if path is None:
        for rows in (1, 2):
            unknown = _nothing_known(model, rows)
            try:
                model.score(unknown)
            except Invalid:  # it cannot do without numbers: then it must have an answer to some
                model.score(np.nan_to_num(unknown))
        return
    if path not in files:
        raise Broken(
            "serving.golden_unreadable",
            f"The golden sample {path!r} is not among the package's files.",
            hint="Package the model again from its training run.",
        )
    golden = read_golden(files[path], model.signature)
    check_golden(golden, model.predict(golden_frame(golden, model.signature)).score)


def _nothing_known(model: ServedModel, rows: int) -> Array:
    row = [np.nan if codes is None else -1.0 for codes in model.codes]
    return np.array([row] * rows, dtype=np.float64).reshape(rows, len(row))


def _codes(column: InputColumn) -> dict[str, int] | None:
    if column.type == "number":
        return None
    return {value: code for code, value in enumerate(column.categories)}


def _bad_output(what: str) -> Broken:
    return Broken(
        "serving.bad_output",
        f"The model answered with {what}.",
        hint="Take the version out of the route and look at its evaluation report.",
    )
