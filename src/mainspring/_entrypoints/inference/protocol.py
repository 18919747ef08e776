"""Open Inference Protocol v2 over REST: what each address takes and gives.

Source: Open Inference Protocol REST specification; Triton's extensions for binary tensors, model
repository, model configuration and statistics, as its clients call them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from mainspring._entrypoints._http.messages import Response, json_response
from mainspring._entrypoints.inference.rows import RowReader
from mainspring._entrypoints.inference.tensors import (
    InferRequest,
    read_columns,
    read_request,
    write_texts,
)
from mainspring.core.errors import Invalid
from mainspring.serving.live import Answer, Columns, LiveEndpoint, Question

JSON_LENGTH: Final = "inference-header-content-length"
VARIANT: Final = "x-mainspring-variant"
_MAX_ID_LENGTH: Final = 256


class Asked(msgspec.Struct, frozen=True):
    """A question with what its answer must look like."""

    question: Question
    request: InferRequest = msgspec.field(default_factory=lambda: InferRequest(inputs=[]))


def read_infer(
    body: bytes,
    headers: Mapping[str, str],
    endpoint: LiveEndpoint,
    version: str | None,
    rows: RowReader | None = None,
) -> Asked:
    """The question in an infer request; ``rows``: what reads one row faster. Errors: ``serving.bad_request`` and those of tensors."""
    length = headers.get(JSON_LENGTH)
    if rows is not None and length is None and (found := rows.read(body)) is not None:
        return Asked(_question(*found, headers, version), found[0])
    request, raw = read_request(body, _length(length))
    columns, count = read_columns(request, raw, endpoint)
    return Asked(_question(request, columns, count, headers, version), request)


def _question(
    request: InferRequest,
    columns: Columns,
    rows: int,
    headers: Mapping[str, str],
    version: str | None,
) -> Question:
    variant = headers.get(VARIANT)
    return question_of(columns, rows, request.parameters, variant=variant, version=version)


def question_of(
    columns: Columns,
    rows: int,
    parameters: Mapping[str, Any],
    *,
    variant: str | None,
    version: str | None,
) -> Question:
    """Columns with what the request's parameters say of them. Errors: ``serving.bad_request``."""
    return Question(
        columns=columns,
        rows=rows,
        ids=_texts(parameters, "prediction_ids", rows),
        entities=_texts(parameters, "entity", rows),
        event_times=_moments(parameters, rows),
        durable=parameters.get("durable") is True,
        variant=variant,
        version=version,
    )


def write_infer(endpoint: LiveEndpoint, asked: Asked, answer: Answer) -> Response:
    """The answer to an infer request: JSON, or a JSON head with the raw tensors behind it."""
    outputs = outputs_of(answer)
    wanted = asked.request.outputs
    everything_raw = asked.request.parameters.get("binary_data_output") is True
    raw = {name for name in outputs if everything_raw}
    if wanted:
        outputs, raw = _wanted(outputs, asked.request, everything_raw=everything_raw)
    head: dict[str, Any] = {
        "model_name": endpoint.name,
        "model_version": version_of(answer),
        "id": asked.request.id or "",
        "parameters": said_of(answer),
    }
    tensors, parts = [], []
    for name, (datatype, values) in outputs.items():
        tensor: dict[str, Any] = {"name": name, "shape": [len(values)], "datatype": datatype}
        if name in raw:
            data = write_texts(values) if isinstance(values, list) else values.tobytes()
            tensor["parameters"] = {"binary_data_size": len(data)}
            parts.append(data)
        else:
            tensor["data"] = values if isinstance(values, list) else values.tolist()
        tensors.append(tensor)
    head["outputs"] = tensors
    if not raw:
        return json_response(head)
    text = msgspec.json.encode(head)
    headers = [("content-type", "application/octet-stream"), (JSON_LENGTH, str(len(text)))]
    return Response(200, headers, b"".join([text, *parts]))


Column = tuple[str, NDArray[Any] | list[str]]


def outputs_of(answer: Answer) -> dict[str, Column]:
    outputs: dict[str, Column] = {"score": ("FP64", np.ascontiguousarray(answer.score))}
    if answer.decision is not None:
        outputs["decision"] = ("BOOL", np.ascontiguousarray(answer.decision))
    if answer.who is not None:
        outputs["model_version"] = ("BYTES", answer.column("version"))
        outputs["variant"] = ("BYTES", answer.column("name"))
        outputs["role"] = ("BYTES", answer.column("role"))
    return outputs


def _wanted(
    outputs: dict[str, Column], request: InferRequest, *, everything_raw: bool
) -> tuple[dict[str, Column], set[str]]:
    chosen, raw = {}, set()
    for output in request.outputs:
        if output.name not in outputs:
            raise Invalid(
                "serving.unknown_output",
                f"The model has no output {output.name[:80]!r}.",
                hint=f"It gives {', '.join(outputs)}.",
            )
        chosen[output.name] = outputs[output.name]
        if output.parameters.get("binary_data", everything_raw) is True:
            raw.add(output.name)
    return chosen, raw


def version_of(answer: Answer) -> str:
    """The version that an answer names."""
    return answer.variants[-1].version


def said_of(answer: Answer) -> dict[str, str]:
    """What an answer says beside its outputs: who answered, and under which id."""
    said: dict[str, str] = {}
    if answer.who is None:
        said = {"variant": answer.variants[0].name, "role": answer.variants[0].role}
    if not answer.ids_given and len(answer.ids):
        # Row n of several has the id "<prediction_id>-<n>".
        first = answer.ids[0]
        said["prediction_id"] = first.removesuffix("-0") if len(answer.ids) > 1 else first
    return said


def _length(text: str | None) -> int | None:
    if text is None:
        return None
    if not (text.isascii() and text.isdigit()) or len(text) > 12:  # noqa: PLR2004
        raise _bad("The header Inference-Header-Content-Length is not a length")
    return int(text)


def _texts(parameters: Mapping[str, Any], name: str, rows: int) -> list[str] | None:
    values = parameters.get(name)
    if values is None:
        return None
    if isinstance(values, str):
        values = [values]
    good = isinstance(values, list) and all(
        isinstance(value, str) and 0 < len(value) <= _MAX_ID_LENGTH for value in values
    )
    if not good or len(values) != rows:
        raise _bad(f"The parameter {name!r} is not one text (1 to 256 characters) per row")
    if name == "prediction_ids" and len(set(values)) != rows:
        raise _bad("The parameter 'prediction_ids' holds an id twice")
    return list(values)


def _moments(parameters: Mapping[str, Any], rows: int) -> NDArray[np.int64] | None:
    values = parameters.get("event_time")
    if values is None:
        return None
    values = values if isinstance(values, list) else [values]
    try:
        if any(isinstance(value, str) for value in values):
            times = np.array(
                [str(value).removesuffix("Z") for value in values], dtype="datetime64[us]"
            ).view(np.int64)
        else:
            times = np.array(msgspec.convert(values, list[int]), dtype=np.int64)
    except (ValueError, OverflowError, TypeError) as error:
        raise _bad(f"The parameter 'event_time' is not a moment per row: {error}") from error
    if len(times) != rows:
        raise _bad(f"The parameter 'event_time' has {len(times)} moments for {rows} rows")
    return times


def _bad(what: str) -> Invalid:
    return Invalid(
        "serving.bad_request",
        f"{what}.",
        hint="Texts in a list; moments as microseconds since 1970 or as ISO 8601 in UTC.",
    )
