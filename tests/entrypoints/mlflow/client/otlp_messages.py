# ruff: noqa: T201, S311
"""Random OTLP requests of the official classes, one a line: python otlp_messages.py COUNT [SEED]."""

from __future__ import annotations

import base64
import json
import random
import sys

from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

IDS = ("traceId", "spanId", "parentSpanId")


def text(chance: random.Random) -> str:
    return "".join(chance.choices('aß%\u20ac\U0001f600"\\ \n', k=chance.randrange(6)))


def fill_value(value, chance: random.Random, depth: int = 0) -> None:
    kind = chance.choice(
        ["none", "str", "bool", "int", "double", "bytes", "array", "map"][: 8 if depth < 3 else 6]
    )
    if kind == "str":
        value.string_value = text(chance)
    elif kind == "bool":
        value.bool_value = chance.random() < 0.5
    elif kind == "int":
        value.int_value = chance.choice([0, -1, 2**63 - 1, -(2**63), chance.randrange(10**6)])
    elif kind == "double":
        value.double_value = chance.choice([0.0, -1.5, 1e300, float("inf"), chance.random()])
    elif kind == "bytes":
        value.bytes_value = chance.randbytes(chance.randrange(1, 6))
    elif kind == "array":
        value.array_value.SetInParent()
        for _ in range(chance.randrange(3)):
            fill_value(value.array_value.values.add(), chance, depth + 1)
    elif kind == "map":
        value.kvlist_value.SetInParent()
        fill(value.kvlist_value.values, chance, depth + 1)


def fill(pairs, chance: random.Random, depth: int = 0) -> None:
    for number in range(chance.randrange(3)):
        pair = pairs.add(key=f"{number}{text(chance)}")
        fill_value(pair.value, chance, depth)


def fill_span(span, chance: random.Random) -> None:
    span.trace_id, span.span_id = chance.randbytes(16), chance.randbytes(8)
    span.parent_span_id = chance.choice([b"", chance.randbytes(8)])
    span.name, span.trace_state, span.kind = text(chance), text(chance), chance.randrange(6)
    span.start_time_unix_nano = chance.choice([0, 2**63 - 1, chance.randrange(2**60)])
    span.end_time_unix_nano = chance.randrange(2**60)
    span.flags, span.dropped_attributes_count = chance.randrange(2**32), chance.randrange(3)
    fill(span.attributes, chance)
    for _ in range(chance.randrange(3)):
        event = span.events.add(name=text(chance), time_unix_nano=chance.randrange(2**60))
        fill(event.attributes, chance)
    for _ in range(chance.randrange(2)):
        link = span.links.add(trace_id=chance.randbytes(16), span_id=chance.randbytes(8))
        fill(link.attributes, chance)
    if chance.random() < 0.7:
        span.status.code, span.status.message = chance.randrange(3), text(chance)


def hexed(value, key: str = ""):
    """Identifiers hexadecimal, as OTLP has them in JSON."""
    if isinstance(value, dict):
        return {name: hexed(inner, name) for name, inner in value.items()}
    if isinstance(value, list):
        return [hexed(inner) for inner in value]
    return base64.b64decode(value).hex() if key in IDS else value


first = int(sys.argv[2]) if len(sys.argv) > 2 else random.randrange(10**9)
for seed in range(first, first + int(sys.argv[1])):
    chance = random.Random(seed)
    request = ExportTraceServiceRequest()
    for _ in range(chance.randrange(1, 3)):
        group = request.resource_spans.add(schema_url="x")
        fill(group.resource.attributes, chance)
        for _ in range(chance.randrange(3)):
            scope = group.scope_spans.add()
            scope.scope.name = "s"
            for _ in range(chance.randrange(3)):
                fill_span(scope.spans.add(), chance)
    spans = [s for g in request.resource_spans for scope in g.scope_spans for s in scope.spans]
    line = {
        "seed": seed,
        "bytes": base64.b64encode(request.SerializeToString()).decode(),
        "json": hexed(MessageToDict(request, use_integers_for_enums=True)),
        "names": [span.name for span in spans],
        "starts": [span.start_time_unix_nano for span in spans],
    }
    print(json.dumps(line))
