"""The JSON Schema that editors read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import mainspring.projects
from mainspring.core.document import parse_document
from mainspring.projects.schema import SCHEMA_FILE_NAME, project_schema, schema_text

SHIPPED = Path(mainspring.projects.__file__).with_name(SCHEMA_FILE_NAME)
FULL = Path(__file__).with_name("full.toml")


def resolved(schema: dict[str, Any], root: dict[str, Any]) -> dict[str, Any]:
    """A schema with its reference followed; of alternatives, the one that is not null."""
    for choice in schema.get("anyOf", []):
        if choice.get("type") != "null":
            return resolved(choice, root)
    if "$ref" in schema:
        return root["$defs"][schema["$ref"].removeprefix("#/$defs/")]  # type: ignore[no-any-return]
    return schema


def unknown_keys(value: Any, schema: dict[str, Any], root: dict[str, Any]) -> list[str]:
    schema = resolved(schema, root)
    if isinstance(value, list):
        return [key for item in value for key in unknown_keys(item, schema["items"], root)]
    if not isinstance(value, dict):
        return []
    found: list[str] = []
    for key, item in value.items():
        other = schema.get("additionalProperties")
        inner = schema.get("properties", {}).get(key, other)
        found += unknown_keys(item, inner, root) if inner else [key]
    return found


def test_the_shipped_schema_is_the_generated_one() -> None:
    """A changed section without 'python scripts/write_schema.py' is found here."""
    assert SHIPPED.read_text(encoding="utf-8") == schema_text()


def test_the_schema_knows_every_key_of_a_full_file_and_no_other() -> None:
    """Each key of the full sample is described; an invented one is not."""
    schema = project_schema()
    value = parse_document(FULL.read_text()).value
    assert unknown_keys(value, schema, schema) == []
    value["training"]["invented"] = 1
    assert unknown_keys(value, schema, schema) == ["invented"]


def test_every_section_has_a_title_and_a_description() -> None:
    """Editors have something to show for each table."""
    schema = json.loads(schema_text())
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    for name, section in schema["$defs"].items():
        assert section["title"] == name
        assert section["description"].endswith(".")


def test_every_key_has_a_description() -> None:
    """Editors explain each key, not only each table."""
    for name, section in json.loads(schema_text())["$defs"].items():
        for key, value in section["properties"].items():
            choices = [value, *value.get("anyOf", [])]
            assert any("description" in each or "$ref" in each for each in choices), (name, key)
