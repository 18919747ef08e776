"""A trained CatBoost model, as it is kept: as a graph where it reads numbers alone, else its own."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mainspring._adapters.catboost.runtime import MODEL_FILE, UNKNOWN, ask
from mainspring.core.errors import Invalid
from mainspring.core.schema import Signature
from mainspring.ports.tables import Frame
from mainspring.serving.ports import Form


class CatboostPacker:
    """Takes a fitted model of CatBoost's; ``plain`` turns its graph into one of tensors."""

    def __init__(self, plain: Callable[[bytes], bytes]) -> None:
        self._plain = plain

    def takes(self, model: object) -> bool:
        """Whether it is CatBoost's."""
        return type(model).__module__.split(".")[0] == "catboost"

    def answers(self, model: Any, rows: Frame, signature: Signature) -> NDArray[np.float64]:
        """The library's own answers; a null category is the empty text."""
        columns = []
        for one in signature.inputs:
            column = np.asarray(rows[one.name])
            if one.type == "category":
                column = np.array(
                    [UNKNOWN if value is None else value for value in column.tolist()], object
                )
            columns.append(column)
        texts = any(one.type == "category" for one in signature.inputs)
        table = np.empty((len(columns[0]), len(columns)), dtype=object if texts else np.float64)
        for place, column in enumerate(columns):
            table[:, place] = column
        probability = signature.output == "probability"
        return ask(model, table, "Probability" if probability else "RawFormulaVal")

    def forms(self, model: Any, signature: Signature) -> tuple[Form, ...]:
        """The graph first: it needs neither CatBoost nor pandas where it is served."""
        native = Form("native", "catboost", lambda: {MODEL_FILE: _saved(model, "cbm")})
        if any(one.type == "category" for one in signature.inputs):
            return (native,)
        graph = Form("onnx", "onnx", lambda: {"model.onnx": self._plain(_saved(model, "onnx"))})
        return (graph, native)

    def thresholds(self, model: Any) -> Mapping[int, NDArray[np.float64]]:
        """Where its trees split numbers."""
        borders = model.get_borders() if hasattr(model, "get_borders") else {}
        return {place: np.array(values, dtype=np.float64) for place, values in borders.items()}


def _saved(model: Any, form: str) -> bytes:
    from catboost import CatBoostError

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model"
        try:
            model.save_model(str(file), format=form)
        except CatBoostError as error:
            raise Invalid(
                "serving.not_convertible",
                f"CatBoost cannot write it as {form}: {str(error).splitlines()[-1][:300]}.",
                hint="It is kept in another form.",
            ) from error
        return file.read_bytes()
