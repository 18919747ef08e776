"""MLflow's scoring wire: ``/invocations`` with its JSON shapes and CSV.

Source: MLflow's documentation of the scoring server ("Inference server specification"): exactly
one of ``dataframe_split``, ``dataframe_records``, ``instances`` and ``inputs``; the answer is
``{"predictions": [...]}``. Beside the scores we say decisions and version.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from mainspring._entrypoints._http.messages import Response, json_response
from mainspring._entrypoints.inference.csv_rows import (
    bad_invocation,
    bad_value,
    read_csv,
    turned,
)
from mainspring._entrypoints.inference.protocol import version_of
from mainspring._entrypoints.inference.tensors import check_complete, unknown_input
from mainspring.core.errors import Invalid
from mainspring.serving.live import Answer, LiveEndpoint, Question

_SHAPES: Final = ("dataframe_split", "dataframe_records", "instances", "inputs")
_BARE: Final = {"NaN": None, "Infinity": math.inf, "-Infinity": -math.inf}
_body = msgspec.json.Decoder(dict[str, Any])
_Number = float | bool | None


def read_invocation(body: bytes, headers: Mapping[str, str], endpoint: LiveEndpoint) -> Question:
    """The question in a scoring request. Errors: ``serving.bad_invocation`` and of the inputs."""
    kind = headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if kind == "text/csv":
        named = read_csv(body, endpoint)
    elif kind == "application/json":
        named = _from_json(body, endpoint)
    else:
        raise Invalid(
            "http.unsupported_media_type",
            f"Bodies of type {kind[:60]!r} are not read here.",
            hint="Send application/json, text/csv or an Arrow stream.",
        )
    columns, rows = _columns(named, endpoint)
    return Question(columns=columns, rows=rows, variant=headers.get("x-mainspring-variant"))


def write_invocation(endpoint: LiveEndpoint, answer: Answer) -> Response:
    """The scores as predictions, with the decisions where there is a policy."""
    said: dict[str, Any] = {"predictions": answer.score.tolist()}
    if answer.decision is not None:
        said["decisions"] = answer.decision.tolist()
    said["model_name"] = endpoint.name
    said["model_version"] = version_of(answer)
    if answer.who is not None:  # several answered: row by row who did
        said["model_versions"] = answer.column("version")
        said["variants"] = answer.column("name")
    if len(answer.ids):
        first = answer.ids[0]
        said["prediction_id"] = first.removesuffix("-0") if len(answer.ids) > 1 else first
    return json_response(said)


def _from_json(body: bytes, endpoint: LiveEndpoint) -> dict[str, list[Any]]:
    document = _document(body)
    present = [shape for shape in _SHAPES if shape in document]
    if len(present) != 1:
        raise bad_invocation(f"The body must hold exactly one of {', '.join(_SHAPES)}")
    value = document[present[0]]
    if present[0] == "dataframe_split":
        return _from_split(value)
    if present[0] == "inputs" and isinstance(value, dict):
        return _from_columns(value)
    return _from_rows(value, endpoint)


def _document(body: bytes) -> dict[str, Any]:
    """The JSON object in a body; MLflow's own client writes NaN and Infinity bare."""
    try:
        try:
            return _body.decode(body)
        except msgspec.MsgspecError:
            if b"NaN" not in body and b"Infinity" not in body:
                raise
            return msgspec.convert(json.loads(body, parse_constant=_BARE.get), dict[str, Any])
    except (ValueError, RecursionError) as error:
        raise bad_invocation(f"The body is not a JSON object: {error}") from error


def _from_split(value: Any) -> dict[str, list[Any]]:
    try:
        columns = msgspec.convert(value["columns"], list[str])
        rows = msgspec.convert(value["data"], list[list[Any]])
    except (msgspec.MsgspecError, KeyError, TypeError) as error:
        raise bad_invocation("dataframe_split needs 'columns' (texts) and 'data' (rows)") from error
    return turned(columns, rows)


def _from_columns(value: dict[str, Any]) -> dict[str, list[Any]]:
    columns = {name: v if isinstance(v, list) else [v] for name, v in value.items()}
    if len({len(column) for column in columns.values()}) > 1:
        raise bad_invocation("The columns of 'inputs' differ in length")
    return {name: _flat(column) for name, column in columns.items()}


def _flat(column: Sequence[Any]) -> list[Any]:
    """A column of TensorFlow's wire may come as [[1], [2]]: one value per row all the same."""
    return [v[0] if isinstance(v, list) and len(v) == 1 else v for v in column]


def _from_rows(value: Any, endpoint: LiveEndpoint) -> dict[str, list[Any]]:
    if not isinstance(value, list):
        raise bad_invocation("The rows are not a list")
    if all(isinstance(row, dict) for row in value):
        names = list(value[0]) if value else list(endpoint.inputs)
        wanted = set(names)
        for row in value:
            if row.keys() != wanted:
                raise bad_invocation("The rows do not all have the same names")
        return {name: _flat([row[name] for row in value]) for name in names}
    if len(endpoint.inputs) == 1 and not any(isinstance(row, list | dict) for row in value):
        value = [[one] for one in value]  # a model of one input may be sent its values alone
    if all(isinstance(row, list) for row in value):
        return turned([c.name for c in endpoint.champion.model.signature.inputs], value)
    raise bad_invocation("Each row must be an object, or a list in the order of the model's inputs")


def _columns(
    named: Mapping[str, list[Any]], endpoint: LiveEndpoint
) -> tuple[dict[str, NDArray[Any]], int]:
    columns: dict[str, NDArray[Any]] = {}
    for name, values in named.items():
        kind = endpoint.inputs.get(name)
        if kind is None:
            raise unknown_input(name, endpoint)
        columns[name] = _numbers(name, values) if kind == "number" else _categories(name, values)
    check_complete(columns, endpoint)
    return columns, len(next(iter(named.values()), []))


def _numbers(name: str, values: list[Any]) -> NDArray[np.float64]:
    try:
        return np.array(msgspec.convert(values, list[_Number]), dtype=np.float64)
    except (msgspec.MsgspecError, OverflowError) as error:
        raise bad_value(name, str(error)) from error


def _categories(name: str, values: list[Any]) -> NDArray[Any]:
    try:
        texts = msgspec.convert(values, list[str | None])
    except msgspec.MsgspecError as error:
        raise bad_value(name, str(error)) from error
    column = np.empty(len(texts), dtype=object)
    column[:] = texts
    return column
