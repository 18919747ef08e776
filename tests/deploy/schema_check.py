"""Manifests held against the schemas of deploy/schemas, closed: an unknown field is a fault."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

from jsonschema import Draft202012Validator

SCHEMAS = Path(__file__).parents[2] / "deploy" / "schemas"


@cache
def validators():
    found = {}
    for file in SCHEMAS.glob("*.json"):
        document = json.loads(file.read_text("utf-8"))
        for kind, name in document["kinds"].items():
            schema = {"$ref": f"#/definitions/{name}", "definitions": document["definitions"]}
            found[kind] = Draft202012Validator(schema)
    return found


def faults(manifest):
    """What is wrong with a manifest, one line each."""
    validator = validators().get(manifest.get("kind"))
    if validator is None:
        return [f"there is no schema for {manifest.get('kind')!r}"]
    if not manifest.get("apiVersion"):
        return ["it has no apiVersion"]
    return [
        f"{manifest['kind']} {'/'.join(map(str, error.absolute_path))}: {error.message[:200]}"
        for error in validator.iter_errors(manifest)
    ]
