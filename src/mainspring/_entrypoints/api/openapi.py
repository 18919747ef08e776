"""The API's description, made from the operations and the types they take and give.

Source: OpenAPI Specification 3.1.1; schemas are JSON Schema 2020-12.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import msgspec

from mainspring import __version__
from mainspring._entrypoints.api.operations import Operation

_NAMES = re.compile(r"\{([a-z_]+)\*?\}")


class Error(msgspec.Struct):
    """What went wrong: a stable code, a sentence, what to do next, particulars."""

    code: str
    message: str
    hint: str
    facts: dict[str, Any]


def describe_api(operations: Sequence[Operation], prefix: str) -> dict[str, Any]:
    """The OpenAPI document."""
    kinds = [
        kind
        for operation in operations
        for kind in (operation.takes, operation.gives, operation.asks)
        if kind is not None
    ]
    unique = list({str(kind): kind for kind in [*kinds, Error]}.values())
    schemas, components = msgspec.json.schema_components(
        unique, ref_template="#/components/schemas/{name}"
    )
    known = dict(zip(map(str, unique), schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        path = prefix + _NAMES.sub(r"{\1}", operation.path)
        paths.setdefault(path, {})[operation.method.lower()] = _operation(
            operation, known, components
        )
    return {
        "openapi": "3.1.1",
        "info": {"title": "Mainspring", "version": __version__},
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer"},
                "password": {"type": "http", "scheme": "basic"},
            },
        },
    }


def _operation(
    operation: Operation, known: dict[str, Any], components: dict[str, Any]
) -> dict[str, Any]:
    found: dict[str, Any] = {
        "summary": operation.summary,
        "operationId": _identifier(operation),
        "parameters": [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
            for name in _NAMES.findall(operation.path)
        ],
        "responses": {
            str(operation.status): _answer(operation, known),
            "default": {
                "description": "What went wrong.",
                "content": {"application/json": {"schema": known[str(Error)]}},
            },
        },
        "security": [{"token": []}, {"password": []}, {}],
        "x-permission": ":".join(operation.permission),
    }
    if operation.asks is not None:
        schema = components[operation.asks.__name__]
        found["parameters"] += [
            {"name": name, "in": "query", "required": False, "schema": field}
            for name, field in schema["properties"].items()
        ]
    if operation.takes is not None:
        content = {"application/json": {"schema": known[str(operation.takes)]}}
        found["requestBody"] = {"required": True, "content": content}
    return found


def _identifier(operation: Operation) -> str:
    path = _NAMES.sub(r"by_\1", operation.path)
    return f"{operation.method.lower()}{path.replace('/', '_')}"


def _answer(operation: Operation, known: dict[str, Any]) -> dict[str, Any]:
    schema = known[str(operation.gives)] if operation.gives is not None else {"type": "object"}
    if operation.lists:
        schema = {
            "type": "object",
            "required": ["items", "next_token"],
            "properties": {
                "items": {"type": "array", "items": schema},
                "next_token": {"type": ["string", "null"]},
            },
        }
    content: dict[str, Any] = {"application/json": {"schema": schema}}
    if operation.binary:
        content[operation.binary] = {}
    return {"description": operation.summary, "content": content}
