"""The runtime ``catboost``: a model in CatBoost's own binary form (``model.cbm``).

CatBoost's library cannot be loaded without pandas, so this is the one booster that brings it into
the process; a model of numbers alone is better kept as a graph, which CatBoost writes itself and
which answers as exactly (CatBoost keeps inputs in 32 bits anyhow).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mainspring.core.errors import Invalid
from mainspring.core.schema import Signature
from mainspring.registry.plan import Plan
from mainspring.serving.refusals import extra_missing, unreadable

Array = NDArray[np.float64]

MODEL_FILE: Final = "model.cbm"
UNKNOWN: Final = ""
_MAGIC: Final = b"CBM1"
_HEAD_BYTES: Final = 8


class CatboostRuntime:
    """Reads ``model.cbm``."""

    name = "catboost"
    steady = False

    def load(
        self,
        files: Mapping[str, bytes],
        signature: Signature,
        plan: Plan | None = None,  # noqa: ARG002 - nothing in this file needs trust
    ) -> Trees:
        """The model. Errors: ``serving.package_unreadable``, ``serving.extra_missing``."""
        if MODEL_FILE not in files:
            raise unreadable(MODEL_FILE, "it is not in the package")
        data = files[MODEL_FILE]
        # Magic, the length of the core, the core; what follows it are tables of categories.
        size = int.from_bytes(data[len(_MAGIC) : _HEAD_BYTES], "little")
        if not data.startswith(_MAGIC) or size > len(data) - _HEAD_BYTES:
            raise unreadable(MODEL_FILE, "it is no whole CatBoost model")
        return Trees(_read(data), signature)


class Trees:
    """A model in the library's memory."""

    def __init__(self, model: Any, signature: Signature) -> None:
        count = len(model.feature_names_ or ())
        if count != len(signature.inputs):
            raise unreadable(
                MODEL_FILE, f"it takes {count} inputs, the signature has {len(signature.inputs)}"
            )
        self._model = model
        self._kind = "Probability" if signature.output == "probability" else "RawFormulaVal"
        self._texts = {
            place: np.array([*one.categories, UNKNOWN], dtype=object)
            for place, one in enumerate(signature.inputs)
            if one.type == "category"
        }

    def predict(self, inputs: Array) -> Array:
        """One number per row. Shapes: (n, inputs) in, (n,) out."""
        return ask(self._model, table(inputs, self._texts), self._kind)


def table(inputs: Array, texts: Mapping[int, NDArray[Any]]) -> NDArray[Any]:
    """The rows as the library takes them: numbers, or objects where there are categories."""
    if not texts:
        return inputs
    rows = inputs.astype(object)
    for place, names in texts.items():
        rows[:, place] = names[inputs[:, place].astype(np.intp)]
    return rows


def ask(model: Any, rows: NDArray[Any], kind: str) -> Array:
    """One number per row, by the library. Errors: ``serving.prediction_failed``."""
    from catboost import CatBoost, CatBoostError

    try:
        # The plain class's method: a classifier's own has other words for the same.
        answer = CatBoost.predict(model, rows, prediction_type=kind, thread_count=1)
    except CatBoostError as error:
        raise Invalid(
            "serving.prediction_failed",
            f"CatBoost could not predict: {str(error).splitlines()[0][:300]}.",
            hint="Compare the model's signature with the rows that were sent.",
        ) from error
    found = np.asarray(answer, dtype=np.float64)
    return np.ascontiguousarray(found[:, -1] if found.ndim > 1 else found)


def _read(data: bytes) -> Any:
    try:
        from catboost import CatBoost, CatBoostError
    except ImportError as error:
        raise extra_missing("CatBoost", "catboost") from error
    try:
        model = CatBoost()
        model.load_model(blob=data, format="cbm")
    except CatBoostError as error:
        raise unreadable(MODEL_FILE, str(error).strip().splitlines()[-1][:300]) from error
    return model
