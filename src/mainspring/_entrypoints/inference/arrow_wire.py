"""Arrow bodies on the scoring addresses: rows in, answers out, as one IPC stream each.

Beside the model's inputs a stream may have the columns ``prediction_ids``, ``entity`` and
``event_time`` (timestamps, or microseconds since 1970), which mean what the parameters of that name mean.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import isnan
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mainspring._entrypoints._http.messages import Response
from mainspring._entrypoints.inference.arrow_reading import ARROW, read_arrow
from mainspring._entrypoints.inference.arrow_writing import write_arrow
from mainspring._entrypoints.inference.protocol import (
    VARIANT,
    outputs_of,
    question_of,
    said_of,
    version_of,
)
from mainspring._entrypoints.inference.tensors import check_complete, unknown_input
from mainspring.core.errors import Invalid
from mainspring.serving.live import Answer, Columns, LiveEndpoint, Question

_BESIDE: Final = ("prediction_ids", "entity", "event_time")


def is_arrow(headers: Mapping[str, str]) -> bool:
    """Whether the body is an Arrow stream."""
    return headers.get("content-type", "").partition(";")[0].strip().lower() == ARROW


def wants_arrow(headers: Mapping[str, str]) -> bool:
    """Whether the answer is to be an Arrow stream: when asked for, and to Arrow unless JSON is."""
    accepted = headers.get("accept", "*/*").lower()
    return ARROW in accepted or (is_arrow(headers) and "application/json" not in accepted)


def read_question(
    body: bytes, headers: Mapping[str, str], endpoint: LiveEndpoint, version: str | None
) -> Question:
    """The question in an Arrow body.

    Errors: ``serving.bad_arrow``, ``serving.bad_value``, ``serving.bad_request`` and those of
    columns.
    """
    given, rows = read_arrow(body, len(endpoint.inputs) + len(_BESIDE))
    beside = {name: given.pop(name) for name in _BESIDE if _is_beside(name, given, endpoint)}
    for name, column in given.items():
        given[name] = _checked(name, column, endpoint)
    check_complete(given, endpoint)
    parameters: dict[str, Any] = {name: column.tolist() for name, column in beside.items()}
    if "event_time" in parameters and beside["event_time"].dtype != object:
        parameters["event_time"] = [None if isnan(t) else int(t) for t in parameters["event_time"]]
    return question_of(given, rows, parameters, variant=headers.get(VARIANT), version=version)


def _is_beside(name: str, given: Columns, endpoint: LiveEndpoint) -> bool:
    return name in given and name not in endpoint.inputs


def _checked(name: str, column: NDArray[Any], endpoint: LiveEndpoint) -> NDArray[Any]:
    kind = endpoint.inputs.get(name)
    if kind is None:
        raise unknown_input(name, endpoint)
    if kind == "category" and column.dtype != object and np.isnan(column).all():
        return np.full(len(column), None, dtype=object)  # a column without a type: all is missing
    if (column.dtype == object) != (kind == "category"):
        raise Invalid(
            "serving.bad_value",
            f"The input {name[:80]!r} is a {kind}, the column is not.",
            hint="Numbers are columns of numbers or booleans; categories are columns of texts.",
            input=name[:80],
        )
    return column


def write_answer(endpoint: LiveEndpoint, answer: Answer) -> Response:
    """The answer as a stream; who answered, and under which id, stands in the schema."""
    columns = {name: values for name, (_, values) in outputs_of(answer).items()}
    said = {"model_name": endpoint.name, "model_version": version_of(answer), **said_of(answer)}
    return Response(200, [("content-type", ARROW)], write_arrow(columns, said))
