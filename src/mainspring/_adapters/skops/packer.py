"""A fitted scikit-learn estimator or pipeline, as it is kept."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from mainspring._adapters.skops.runtime import MODEL_FILE, REVIEWED, untrusted
from mainspring._adapters.skops.tables import LAYOUT_FILE, Call, ask, layout_of
from mainspring._adapters.skops.trees import tree_thresholds
from mainspring.core.errors import Invalid
from mainspring.core.schema import Signature
from mainspring.ports.tables import Frame
from mainspring.serving.ports import Form
from mainspring.serving.refusals import extra_missing

ToOnnx = Callable[..., bytes]  # (model, signature, *, by_column) -> graph
_CLASSES: Final = 2


class SklearnPacker:
    """Offers the whole pipeline as one graph, and as itself by skops.

    ``trust`` are types beyond the reviewed ones that whoever saves the model vouches for.
    """

    def __init__(self, to_onnx: ToOnnx, trust: Collection[str] = ()) -> None:
        self._to_onnx = to_onnx
        self._trust = frozenset(trust)

    def takes(self, model: object) -> bool:
        """Whether it is an estimator; wrappers of other libraries have the same methods."""
        return hasattr(model, "predict") and hasattr(model, "get_params")

    def answers(self, model: Any, rows: Frame, signature: Signature) -> NDArray[np.float64]:
        """The estimator's own answers. Errors: ``serving.not_packable`` without probabilities."""
        call = _call(model, signature)
        return ask(model, call, {one.name: rows[one.name] for one in signature.inputs})

    def forms(self, model: Any, signature: Signature) -> tuple[Form, ...]:
        """The graph first: it needs neither scikit-learn nor pandas where it is served."""
        call = _call(model, signature)

        def graph() -> Mapping[str, bytes]:
            by_column = call.layout != "numbers"
            return {"model.onnx": self._to_onnx(model, signature, by_column=by_column)}

        def itself() -> Mapping[str, bytes]:
            return {MODEL_FILE: _dumped(model, self._trust), LAYOUT_FILE: msgspec.json.encode(call)}

        trusted = tuple(sorted(self._trust))
        return (Form("onnx", "onnx", graph), Form("original", "skops", itself, trusted))

    def thresholds(self, model: Any) -> Mapping[int, NDArray[np.float64]]:
        """Every threshold of its trees, for every input: steps before them may reorder inputs."""
        found = tree_thresholds(model)
        return dict.fromkeys(range(int(getattr(model, "n_features_in_", 0))), found)


def _dumped(model: Any, trust: frozenset[str]) -> bytes:
    try:
        from skops import io
    except ImportError as error:
        raise extra_missing("skops", "sklearn") from error
    try:
        data: bytes = io.dumps(model)
        unknown = set(io.get_untrusted_types(data=data)) - REVIEWED - trust
    except (TypeError, ValueError, AttributeError, LookupError) as error:
        raise Invalid(
            "serving.not_packable",
            f"skops cannot keep this model: {str(error).splitlines()[0][:300]}.",
            hint="Leave out what is no estimator, such as a function of your own.",
        ) from error
    if unknown:
        raise untrusted(unknown, ())
    return data


def _call(model: Any, signature: Signature) -> Call:
    if signature.output == "probability" and len(getattr(model, "classes_", ())) != _CLASSES:
        raise Invalid(
            "serving.not_packable",
            "The model gives no probability of one of two classes.",
            hint="Fit a classifier on two classes, or save it with output='value'.",
        )
    return Call(layout=layout_of(model, signature), output=signature.output)
