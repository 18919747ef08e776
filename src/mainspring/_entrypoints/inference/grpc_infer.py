"""A gRPC infer request read as a question, and an answer written as its response.

The rules are those of REST: the same columns, checks and errors. A parameter is one value in this
protocol, so one that brings a value per row (``prediction_ids``, ``entity``, ``event_time``) is a
text that holds a JSON list.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec
import numpy as np

from mainspring._entrypoints.inference.grpc_messages import message
from mainspring._entrypoints.inference.protocol import (
    Column,
    outputs_of,
    question_of,
    said_of,
    version_of,
)
from mainspring._entrypoints.inference.tensor_values import (
    InputTensor,
    bad_tensor,
    count_cells,
    raw_values,
)
from mainspring._entrypoints.inference.tensors import columns_of, write_texts
from mainspring.core.errors import Invalid
from mainspring.serving.live import Answer, LiveEndpoint, Question

# Which list of typed contents holds which datatype (16-bit floats come raw only).
_CONTENTS: Final[Mapping[str, str]] = {
    "BOOL": "bool_contents", "INT8": "int_contents", "INT16": "int_contents",
    "INT32": "int_contents", "INT64": "int64_contents", "UINT8": "uint_contents",
    "UINT16": "uint_contents", "UINT32": "uint_contents", "UINT64": "uint64_contents",
    "FP32": "fp32_contents", "FP64": "fp64_contents", "BYTES": "bytes_contents",
}  # fmt: skip
_PER_ROW: Final = ("prediction_ids", "entity", "event_time")


def read_infer(request: Any, endpoint: LiveEndpoint, variant: str | None) -> Question:
    """The question in a request.

    Errors: ``serving.bad_request``, ``serving.bad_tensor`` and those of the columns.
    """
    raw = list(request.raw_input_contents)
    if raw and len(raw) != len(request.inputs):
        raise _bad(f"There are {len(raw)} raw contents for {len(request.inputs)} inputs")
    given = [
        InputTensor(one.name, list(one.shape), one.datatype, _parameters(one.parameters))
        for one in request.inputs
    ]
    places = {id(tensor): place for place, tensor in enumerate(given)}

    def values_of(tensor: InputTensor) -> Any:
        place = places[id(tensor)]
        sent = request.inputs[place]
        if not raw:
            return _typed(tensor, sent.contents)
        if sent.HasField("contents"):
            raise bad_tensor(tensor.name, "has both contents and raw contents")
        return raw_values(tensor, memoryview(raw[place]))

    columns, rows = columns_of(given, values_of, endpoint)
    parameters = _parameters(request.parameters)
    for name in _PER_ROW:
        if name in parameters:
            parameters[name] = _list(name, parameters[name])
    return question_of(
        columns, rows, parameters, variant=variant, version=request.model_version or None
    )


def write_infer(request: Any, endpoint: LiveEndpoint, answer: Answer) -> Any:
    """The response, with raw contents where the request had them.

    Errors: ``serving.unknown_output``.
    """
    response = message("ModelInferResponse")(
        model_name=endpoint.name, model_version=version_of(answer), id=request.id
    )
    for name, value in said_of(answer).items():
        response.parameters[name].string_param = value
    outputs = outputs_of(answer)
    for name in [one.name for one in request.outputs] or list(outputs):
        if name not in outputs:
            raise Invalid(
                "serving.unknown_output",
                f"The model has no output {name[:80]!r}.",
                hint=f"It gives {', '.join(outputs)}.",
            )
        _write(response, name, outputs[name], raw=bool(request.raw_input_contents))
    return response


def _write(response: Any, name: str, output: Column, *, raw: bool) -> None:
    datatype, values = output
    tensor = response.outputs.add(name=name, datatype=datatype, shape=[len(values)])
    if raw:
        data = write_texts(values) if isinstance(values, list) else values.tobytes()
        response.raw_output_contents.append(data)
        return
    contents = getattr(tensor.contents, _CONTENTS[datatype])
    contents.extend(v.encode() for v in values) if isinstance(values, list) else contents.extend(
        values.tolist()
    )


def _typed(tensor: InputTensor, contents: Any) -> Any:
    field = _CONTENTS.get(tensor.datatype)
    if field is None:
        raise bad_tensor(
            tensor.name, f"has the datatype {tensor.datatype[:40]!r}, which has no typed contents"
        )
    used = [described.name for described, _ in contents.ListFields()]
    if used not in ([], [field]):
        raise bad_tensor(tensor.name, f"has {', '.join(used)} for the datatype {tensor.datatype}")
    values, cells = getattr(contents, field), count_cells(tensor)
    if len(values) != cells:
        raise bad_tensor(tensor.name, f"has {len(values)} values for a shape of {cells}")
    if tensor.datatype == "BYTES":
        return _texts(tensor, values)
    return np.fromiter(values, dtype=np.float64, count=cells)


def _texts(tensor: InputTensor, values: Iterable[bytes]) -> list[str]:
    try:
        return [value.decode() for value in values]
    except UnicodeDecodeError as error:
        raise bad_tensor(tensor.name, "has bytes that are not UTF-8") from error


def _parameters(given: Any) -> dict[str, Any]:
    """Protocol parameters as plain values."""
    return {
        name: getattr(value, chosen)
        for name, value in given.items()
        if (chosen := value.WhichOneof("parameter_choice")) is not None
    }


def _list(name: str, value: Any) -> Any:
    if not isinstance(value, str) or not value.startswith("["):
        return value
    try:
        return msgspec.json.decode(value, type=list[str | int])
    except msgspec.MsgspecError as error:
        raise _bad(f"The parameter {name!r} is not a JSON list of texts or moments") from error


def _bad(what: str) -> Invalid:
    return Invalid(
        "serving.bad_request", f"{what}.", hint="See the Open Inference Protocol, version 2."
    )
