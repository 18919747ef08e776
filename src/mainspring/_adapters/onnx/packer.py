"""A graph that somebody exported already (from PyTorch, say), as it is kept: its bytes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from mainspring._adapters.onnx.graph import MODEL_FILE
from mainspring._adapters.onnx.runtime import OnnxRuntime
from mainspring.core.schema import Signature
from mainspring.ports.tables import Frame
from mainspring.serving.ports import Form
from mainspring.training.encoding import matrix


class OnnxPacker:
    """Takes the bytes of an ONNX file."""

    def takes(self, model: object) -> bool:
        """Whether it is bytes; whether they are a graph is seen when they are read."""
        return isinstance(model, bytes | bytearray)

    def answers(self, model: bytes, rows: Frame, signature: Signature) -> NDArray[np.float64]:
        """What the graph itself answers: there is no other original here."""
        loaded = OnnxRuntime().load({MODEL_FILE: bytes(model)}, signature)
        return loaded.predict(matrix(rows, signature.inputs))

    def forms(self, model: bytes, signature: Signature) -> tuple[Form, ...]:  # noqa: ARG002 - its own
        """Its bytes."""

        def graph() -> Mapping[str, bytes]:
            return {MODEL_FILE: bytes(model)}

        return (Form("onnx", "onnx", graph),)

    def thresholds(self, model: bytes) -> Mapping[int, NDArray[np.float64]]:
        """None that can be read from outside."""
        del model
        return {}
