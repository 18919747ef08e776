"""The runtime ``skops``: a scikit-learn estimator as skops keeps it (``model.skops``).

A file may hold the types that skops knows to be harmless, those reviewed here, and no other unless
two say so: the plan in its manifest, which is seen at approval, and the setting ``trusted_types`` of
whoever runs the gateway. Trees are checked after reading, before their first use.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Collection, Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mainspring._adapters.skops.tables import Call, Texts, ask, read_call
from mainspring._adapters.skops.trees import check_trees
from mainspring.core.errors import Invalid
from mainspring.core.schema import Signature
from mainspring.registry.plan import Plan
from mainspring.serving.refusals import extra_missing, unreadable

Array = NDArray[np.float64]

MODEL_FILE: Final = "model.skops"
# Reviewed: a description of numbers, and the two kinds of trees, whose indices are checked here.
REVIEWED: Final = frozenset(
    {
        "numpy.dtype",
        "sklearn.tree._tree.Tree",
        "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    }
)
_FAILURES: Final = (
    ValueError, TypeError, LookupError, AttributeError, RuntimeError, ImportError, EOFError,
    zipfile.BadZipFile, json.JSONDecodeError, RecursionError,
)  # fmt: skip


class SkopsRuntime:
    """Reads ``model.skops``. ``allowed``: types that this process trusts besides the reviewed."""

    name = "skops"
    steady = False

    def __init__(self, allowed: Collection[str] = ()) -> None:
        self._allowed = frozenset(allowed)

    def load(
        self, files: Mapping[str, bytes], signature: Signature, plan: Plan | None = None
    ) -> Estimator:
        """The estimator, its trees checked.

        Errors: ``serving.untrusted_types`` naming them, ``serving.package_unreadable``,
        ``serving.package_unsafe``, ``serving.extra_missing``.
        """
        if MODEL_FILE not in files:
            raise unreadable(MODEL_FILE, "it is not in the package")
        call = read_call(files)
        planned = frozenset(plan.trusted if plan else ())
        trusted = REVIEWED | (planned & self._allowed)
        model = _read(files[MODEL_FILE], trusted, planned)
        _fit(model, len(signature.inputs))
        check_trees(model, MODEL_FILE)
        return Estimator(model, call, signature)


class Estimator:
    """A fitted estimator, asked with the rows it was fitted on."""

    def __init__(self, model: Any, call: Call, signature: Signature) -> None:
        self._model = model
        self._call = call
        self._texts = Texts(signature)

    def predict(self, inputs: Array) -> Array:
        """One number per row. Shapes: (n, inputs) in, (n,) out."""
        try:
            return ask(self._model, self._call, self._texts.columns(inputs))
        except (ValueError, TypeError, LookupError, AttributeError) as error:
            raise Invalid(
                "serving.prediction_failed",
                f"scikit-learn could not predict: {_line(error)}.",
                hint="Compare the model's signature with the rows that were sent.",
            ) from error


def _fit(model: Any, inputs: int) -> None:
    wanted = getattr(model, "n_features_in_", None)
    if not hasattr(model, "predict") or (wanted is not None and wanted != inputs):
        raise unreadable(MODEL_FILE, f"it takes {wanted} inputs, the signature has {inputs}")


def _line(error: Exception) -> str:
    return (str(error).strip() or repr(error)).splitlines()[0][:300].rstrip(".")


def _read(data: bytes, trusted: frozenset[str], planned: frozenset[str]) -> Any:
    try:
        from skops import io
    except ImportError as error:
        raise extra_missing("skops", "sklearn") from error
    try:
        unknown = set(io.get_untrusted_types(data=data)) - trusted
        if unknown:
            raise untrusted(unknown, planned)
        return io.loads(data, trusted=sorted(trusted))
    except _FAILURES as error:
        if isinstance(error, Invalid):
            raise
        raise unreadable(MODEL_FILE, _line(error)) from error


def untrusted(unknown: Collection[str], planned: Collection[str]) -> Invalid:
    """The refusal of a file with types that nobody vouched for."""
    names = ", ".join(sorted(unknown)[:10])
    step = (
        "Review their code, then name them in the setting trusted_types."
        if set(unknown) <= set(planned)
        else "Review their code, then save the model with trust=(...) and name them in the setting "
        "trusted_types."
    )
    return Invalid(
        "serving.untrusted_types",
        f"{MODEL_FILE} holds types that nobody has reviewed: {names}.",
        hint=step,
        types=sorted(unknown)[:100],
    )
