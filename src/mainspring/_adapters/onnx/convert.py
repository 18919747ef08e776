"""Models of other libraries as ONNX graphs: an offer that the replay accepts or refuses.

The extra ``convert`` brings the converters; a gateway never loads them. Graphs are float32, since
the operators for trees and imputation exist for floats alone.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from mainspring.core.errors import Invalid
from mainspring.core.schema import Signature
from mainspring.serving.refusals import extra_missing

OPSETS: Final = {"": 18, "ai.onnx.ml": 3}
BOOSTER_OPSET: Final = 15  # the newest that onnxmltools knows
_INPUT: Final = "inputs"
# Each of some hundred converters fails in its own way; their own classes are RuntimeErrors.
_FAILURES: Final = (
    RuntimeError, ValueError, TypeError, LookupError, AttributeError, AssertionError, ArithmeticError
)  # fmt: skip


def from_sklearn(model: Any, signature: Signature, *, by_column: bool) -> bytes:
    """The graph of a fitted estimator or pipeline.

    ``by_column``: one input per column of the signature, texts for categories; else one matrix.
    Errors: ``serving.not_convertible``, ``serving.extra_missing``.
    """
    try:
        import skl2onnx
        from skl2onnx.common import data_types
    except ImportError as error:
        raise extra_missing("skl2onnx", "convert") from error

    def kind(category: bool) -> Any:  # noqa: FBT001 - two types, one word each
        return (data_types.StringTensorType if category else data_types.FloatTensorType)([None, 1])

    if by_column:
        inputs = [(one.name, kind(one.type == "category")) for one in signature.inputs]
    else:
        inputs = [(_INPUT, data_types.FloatTensorType([None, len(signature.inputs)]))]
    options = {id(model): {"zipmap": False}} if hasattr(model, "predict_proba") else None

    def convert() -> Any:
        return skl2onnx.to_onnx(
            model, initial_types=inputs, options=options, target_opset=dict(OPSETS)
        )

    return _converted("skl2onnx", convert)


def from_lightgbm(booster: Any, signature: Signature) -> bytes:
    """The graph of a LightGBM booster. Errors: as for :func:`from_sklearn`."""
    try:
        import onnxmltools
        from onnxmltools.convert.common import data_types
    except ImportError as error:
        raise extra_missing("onnxmltools", "convert") from error
    inputs = [(_INPUT, data_types.FloatTensorType([None, len(signature.inputs)]))]

    def convert() -> Any:
        return onnxmltools.convert_lightgbm(
            booster, initial_types=inputs, zipmap=False, target_opset=BOOSTER_OPSET
        )

    return _converted("onnxmltools", convert)


def without_maps(graph: bytes) -> bytes:
    """The graph with its probabilities as a tensor, where they came as one dictionary per row."""
    try:
        import onnx
    except ImportError as error:
        raise extra_missing("onnx", "convert") from error
    model = onnx.load_model_from_string(graph)
    for node in [one for one in model.graph.node if one.op_type == "ZipMap"]:
        kept = [one for one in model.graph.output if one.name not in node.output]
        tensor = onnx.helper.make_tensor_value_info(
            node.input[0], onnx.TensorProto.FLOAT, [None, None]
        )
        model.graph.node.remove(node)
        del model.graph.output[:]
        model.graph.output.extend([*kept, tensor])
    data: bytes = model.SerializeToString()
    return data


def _converted(library: str, convert: Callable[[], Any]) -> bytes:
    try:
        with _plain_attributes(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a converter's warnings are told by the replay
            data: bytes = convert().SerializeToString()
    except _FAILURES as error:
        raise Invalid(
            "serving.not_convertible",
            f"{library} cannot turn it into an ONNX graph: {_first_line(error)}.",
            hint="It is kept in another form.",
        ) from error
    return data


def _first_line(error: Exception) -> str:
    text = str(error).strip()
    return text.splitlines()[0][:200] if text else type(error).__name__


@contextmanager
def _plain_attributes() -> Iterator[None]:
    # The converters hand numpy's integers and booleans to onnx.helper.make_attribute, which
    # protobuf 7 refuses ("Expected an int, got a boolean"); as plain numbers it takes them.
    from onnx import helper

    original = helper.make_attribute

    def make_attribute(key: str, value: Any, *rest: Any, **named: Any) -> Any:
        return original(key, _plain(value), *rest, **named)

    helper.make_attribute = make_attribute
    try:
        yield
    finally:
        helper.make_attribute = original


def _plain(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, bool):
        return int(value)
    return value.item() if hasattr(value, "item") and getattr(value, "ndim", 1) == 0 else value
