"""The runtime ``onnx``: one ONNX graph (``model.onnx``) in ONNX Runtime, one thread.

The graph has one float input ``inputs`` of shape (n, number of inputs) in signature order, or one
input per column (its name), each (n, 1); its last output holds the answer: (n,), (n, 1), or
(n, 2) with the positive class last. Graphs are float32 in practice: a model is only packaged this
way once a replay has shown that the answers stay inside the declared tolerance.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mainspring.core.errors import Invalid, Unavailable
from mainspring.core.schema import Signature

Array = NDArray[np.float64]

MODEL_FILE: Final = "model.onnx"
_TYPES: Final = {
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(int64)": np.int64,
}


class OnnxRuntime:
    """Reads ``model.onnx``."""

    name = "onnx"
    steady = True

    def load(self, files: Mapping[str, bytes], signature: Signature) -> Graph:
        """The graph in a session of its own.

        Errors: ``serving.package_unreadable``, ``serving.extra_missing``.
        """
        if MODEL_FILE not in files:
            raise _unreadable("it is not in the package")
        return Graph(_session(files[MODEL_FILE]), signature)


class Graph:
    """An ONNX Runtime session, fed by column or by matrix."""

    def __init__(self, session: Any, signature: Signature) -> None:
        self._session = session
        self._output = session.get_outputs()[-1].name
        wanted = {entry.name: entry.type for entry in session.get_inputs()}
        unknown = [kind for kind in wanted.values() if kind not in _TYPES]
        if unknown:
            raise _unreadable(f"an input has the type {unknown[0]}")
        names = [column.name for column in signature.inputs]
        self._places: list[tuple[str, int | None, Any]]
        if len(wanted) == 1 and names != list(wanted):
            ((name, kind),) = wanted.items()
            self._places = [(name, None, _TYPES[kind])]
        elif set(wanted) == set(names):
            self._places = [(name, names.index(name), _TYPES[wanted[name]]) for name in wanted]
        else:
            raise _unreadable("its inputs are not those of the signature")

    def predict(self, inputs: Array) -> Array:
        """One number per row. Shapes: (n, inputs) in, (n,) out."""
        feed = {
            name: inputs.astype(kind) if place is None else inputs[:, place, None].astype(kind)
            for name, place, kind in self._places
        }
        (answer,) = self._session.run([self._output], feed)
        if answer.ndim > 1:
            answer = answer[:, -1]
        return np.ascontiguousarray(answer, dtype=np.float64)


def _session(model: bytes) -> Any:
    try:
        import onnxruntime
        from onnxruntime.capi import onnxruntime_pybind11_state as native
    except ImportError as error:
        raise Unavailable(
            "serving.extra_missing",
            "ONNX Runtime is not installed.",
            hint="Install it with: pip install 'mainspring[onnx]'.",
            extra="onnx",
        ) from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(
            model, sess_options=options, providers=["CPUExecutionProvider"]
        )
    except _own_errors(native) as error:
        raise _unreadable(str(error).splitlines()[0]) from error


def _own_errors(native: Any) -> tuple[type[Exception], ...]:
    """What the library raises: its error classes share no base but Exception."""
    own = [v for v in vars(native).values() if isinstance(v, type) and issubclass(v, Exception)]
    return (RuntimeError, ValueError, *own)


def _unreadable(why: str) -> Invalid:
    return Invalid(
        "serving.package_unreadable",
        f"{MODEL_FILE} cannot be read: {why}.",
        hint="Package the model again from its training run.",
        file=MODEL_FILE,
    )
