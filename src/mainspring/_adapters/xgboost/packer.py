"""A trained XGBoost booster, as it is kept: its own JSON, exact."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from mainspring._adapters.xgboost.runtime import JSON_FILE
from mainspring.core.schema import Signature
from mainspring.ports.tables import Frame
from mainspring.serving.ports import Form
from mainspring.training.encoding import matrix


class XgboostPacker:
    """Takes a Booster, or a fitted estimator of XGBoost's."""

    def takes(self, model: object) -> bool:
        """Whether it is XGBoost's."""
        return type(model).__module__.split(".")[0] == "xgboost"

    def answers(self, model: Any, rows: Frame, signature: Signature) -> NDArray[np.float64]:
        """The library's own answers, categories as codes, unknown ones missing."""
        import xgboost

        inputs = matrix(rows, signature.inputs)
        kinds = ["c" if one.type == "category" else "q" for one in signature.inputs]
        for place, kind in enumerate(kinds):
            if kind == "c":
                inputs[inputs[:, place] < 0, place] = np.nan
        data = xgboost.DMatrix(
            inputs, feature_types=kinds, enable_categorical="c" in kinds, nthread=1
        )
        booster = _booster(model)
        found = booster.predict(data, validate_features=False)
        return np.asarray(found, dtype=np.float64)

    def forms(self, model: Any, signature: Signature) -> tuple[Form, ...]:  # noqa: ARG002 - its own
        """Its JSON."""
        booster = _booster(model)

        def native() -> Mapping[str, bytes]:
            return {JSON_FILE: bytes(booster.save_raw("json"))}

        return (Form("native", "xgboost", native),)

    def thresholds(self, model: Any) -> Mapping[int, NDArray[np.float64]]:
        """Where its trees split numbers."""
        learner = msgspec.json.decode(bytes(_booster(model).save_raw("json")))["learner"]
        booster = learner["gradient_booster"]
        found: dict[int, list[float]] = {}
        for tree in booster.get("gbtree", booster)["model"]["trees"]:
            columns = ("left_children", "split_type", "split_indices", "split_conditions")
            for left, kind, place, at in zip(*(tree[one] for one in columns), strict=True):
                if left != -1 and not kind:
                    found.setdefault(place, []).append(at)
        return {place: np.unique(np.array(values)) for place, values in found.items()}


def _booster(model: Any) -> Any:
    return model.get_booster() if hasattr(model, "get_booster") else model
