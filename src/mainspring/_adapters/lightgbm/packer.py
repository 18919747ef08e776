"""A trained LightGBM booster, as it is kept: its own text, exact; a graph only when asked first."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mainspring._adapters.lightgbm.runtime import MODEL_FILE
from mainspring.core.schema import Signature
from mainspring.ports.tables import Frame
from mainspring.serving.ports import Form
from mainspring.training.encoding import matrix

ToOnnx = Callable[[Any, Signature], bytes]


class LightgbmPacker:
    """Takes a Booster, or a fitted estimator of LightGBM's."""

    def __init__(self, to_onnx: ToOnnx) -> None:
        self._to_onnx = to_onnx

    def takes(self, model: object) -> bool:
        """Whether it is LightGBM's."""
        return type(model).__module__.split(".")[0] == "lightgbm"

    def answers(self, model: Any, rows: Frame, signature: Signature) -> NDArray[np.float64]:
        """The library's own answers, categories as codes."""
        inputs = matrix(rows, signature.inputs)
        return np.asarray(_booster(model).predict(inputs, num_threads=1), dtype=np.float64)

    def forms(self, model: Any, signature: Signature) -> tuple[Form, ...]:
        """Its text first: it answers to the bit, and faster than a graph from a hundred rows on."""
        booster = _booster(model)

        def native() -> Mapping[str, bytes]:
            return {MODEL_FILE: booster.model_to_string().encode()}

        def graph() -> Mapping[str, bytes]:
            return {"model.onnx": self._to_onnx(booster, signature)}

        return (Form("native", "lightgbm", native), Form("onnx", "onnx", graph))

    def thresholds(self, model: Any) -> Mapping[int, NDArray[np.float64]]:
        """Where its trees split numbers."""
        found: dict[int, list[float]] = {}
        trees = [one["tree_structure"] for one in _booster(model).dump_model()["tree_info"]]
        while trees:
            node = trees.pop()
            if "split_feature" in node:
                if node["decision_type"] == "<=":
                    found.setdefault(node["split_feature"], []).append(float(node["threshold"]))
                trees += [node["left_child"], node["right_child"]]
        return {place: np.unique(np.array(values)) for place, values in found.items()}


def _booster(model: Any) -> Any:
    return getattr(model, "booster_", model)
