"""The runtime ``onnx``: one ONNX graph (``model.onnx``) in ONNX Runtime, one thread.

The graph has one float input of shape (n, number of inputs) in signature order, or one input per
column (its name), each (n, 1); a category goes in as its code, or as its text where the graph
takes texts (the empty text for unknown and null). The answer is the output ``probabilities`` where
there is one, else the last: (n,), (n, 1), or (n, 2) with the positive class last. Graphs are
float32 in practice: a model is only packaged this way once a replay has shown that the answers stay
inside the declared tolerance.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mainspring._adapters.onnx.graph import MODEL_FILE, check_graph
from mainspring.core.errors import Invalid
from mainspring.core.schema import InputColumn, Signature
from mainspring.registry.plan import Plan
from mainspring.serving.refusals import extra_missing, unreadable

Array = NDArray[np.float64]
Feed = Callable[[Array], NDArray[Any]]

_TYPES: Final = {
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(int64)": np.int64,
}
_TEXT: Final = "tensor(string)"
_PROBABILITIES: Final = "probabilities"


class OnnxRuntime:
    """Reads ``model.onnx``."""

    name = "onnx"
    steady = True

    def load(
        self,
        files: Mapping[str, bytes],
        signature: Signature,
        plan: Plan | None = None,  # noqa: ARG002 - nothing in this file needs trust
    ) -> Graph:
        """The graph in a session of its own.

        Errors: ``serving.package_unreadable``, ``serving.package_unsafe``,
        ``serving.extra_missing``.
        """
        if MODEL_FILE not in files:
            raise unreadable(MODEL_FILE, "it is not in the package")
        check_graph(files[MODEL_FILE])
        return Graph(*_session(files[MODEL_FILE]), signature)


class Graph:
    """An ONNX Runtime session, fed by column or by matrix."""

    def __init__(
        self, session: Any, failures: tuple[type[Exception], ...], signature: Signature
    ) -> None:
        self._session = session
        self._failures = failures
        outputs = [entry.name for entry in session.get_outputs()]
        self._output = _PROBABILITIES if _PROBABILITIES in outputs else outputs[-1]
        wanted = {entry.name: entry.type for entry in session.get_inputs()}
        names = [column.name for column in signature.inputs]
        self._feeds: dict[str, Feed]
        if len(wanted) == 1 and names != list(wanted):
            ((name, kind),) = wanted.items()
            self._feeds = {name: _matrix(kind)}
        elif set(wanted) == set(names):
            self._feeds = {
                name: _column(names.index(name), kind, signature.inputs[names.index(name)])
                for name, kind in wanted.items()
            }
        else:
            raise unreadable(MODEL_FILE, "its inputs are not those of the signature")

    def predict(self, inputs: Array) -> Array:
        """One number per row. Shapes: (n, inputs) in, (n,) out."""
        try:
            with np.errstate(over="ignore"):  # a number beyond 32 bits is infinite to the graph
                feed = {name: make(inputs) for name, make in self._feeds.items()}
            (answer,) = self._session.run([self._output], feed)
        except self._failures as error:
            raise Invalid(
                "serving.prediction_failed",
                f"ONNX Runtime could not predict: {str(error).splitlines()[0][:300]}.",
                hint="Compare the model's signature with the rows that were sent.",
            ) from error
        if not isinstance(answer, np.ndarray):
            raise unreadable(MODEL_FILE, "its answer is no tensor (convert it without 'zipmap')")
        if answer.ndim > 1:
            answer = answer[:, -1]
        return np.ascontiguousarray(answer, dtype=np.float64)


def _matrix(kind: str) -> Feed:
    if kind not in _TYPES:
        raise unreadable(MODEL_FILE, f"an input has the type {kind}")
    number = _TYPES[kind]
    return lambda inputs: inputs.astype(number)


def _column(place: int, kind: str, column: InputColumn) -> Feed:
    if kind == _TEXT and column.type == "category":
        texts = np.array([*column.categories, ""], dtype=object)  # code -1 picks the last
        return lambda inputs: texts[inputs[:, place].astype(np.intp), None]
    if kind not in _TYPES:
        raise unreadable(MODEL_FILE, f"the input {column.name!r} has the type {kind}")
    number = _TYPES[kind]
    return lambda inputs: inputs[:, place, None].astype(number)


def _session(model: bytes) -> tuple[Any, tuple[type[Exception], ...]]:
    try:
        import onnxruntime
        from onnxruntime.capi import onnxruntime_pybind11_state as native
    except ImportError as error:
        raise extra_missing("ONNX Runtime", "onnx") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # what is wrong comes back as an error; nothing is printed
    failures = _own_errors(native)
    try:
        session = onnxruntime.InferenceSession(
            model, sess_options=options, providers=["CPUExecutionProvider"]
        )
    except failures as error:
        raise unreadable(MODEL_FILE, str(error).splitlines()[0][:300]) from error
    return session, failures


def _own_errors(native: Any) -> tuple[type[Exception], ...]:
    """What the library raises: its error classes share no base but Exception."""
    own = [v for v in vars(native).values() if isinstance(v, type) and issubclass(v, Exception)]
    return (RuntimeError, ValueError, *own)
