"""The reference page of ``mainspring.toml``, from the JSON Schema that ships with the package."""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any, Final

from reference_errors import cell

SCHEMA: Final = "src/mainspring/projects/mainspring.schema.json"
Schema = dict[str, Any]


def project_file_page(root: Path) -> str:
    """Every key of the project file: one table a section, in the order of the file."""
    schema: Schema = json.loads((root / SCHEMA).read_text("utf-8"))
    lines = [
        "# The project file",
        "",
        (
            "`mainspring.toml` says what a project wants, reads, trains, serves, watches and improves. "
            "Unknown keys, wrong types and contradictions are refused with line, column and the nearest "
            "spelling. The JSON Schema for editors ships with the package as "
            "`mainspring/projects/mainspring.schema.json`. A key without a default must be given."
        ),
        "",
        "| section | written as | holds |",
        "|---|---|---|",
    ]
    lines += [
        f"| `{key}` | `{_written(key, part)}` | {_type(part)} |"
        for key, part in schema["properties"].items()
    ]
    for name in _in_order(schema):
        part = schema["$defs"][name]
        lines += ["", f"## {name}", "", _plain(part["description"]), ""]
        lines += ["| key | type | default | meaning |", "|---|---|---|---|"]
        lines += [
            f"| `{key}` | {_type(value)} | {_default(key, value, part)} | {_meaning(value)} |"
            for key, value in part["properties"].items()
        ]
    return "\n".join(lines) + "\n"


def _in_order(schema: Schema) -> list[str]:
    """The sections as the file names them, each followed by the sections inside it."""
    found: list[str] = []

    def visit(part: Any) -> None:
        name = part.get("$ref", "").rpartition("/")[2] if isinstance(part, dict) else ""
        if name and name not in found:
            found.append(name)
            visit(schema["$defs"][name])
        for one in part.values() if isinstance(part, dict) else part:
            if isinstance(one, dict | list):
                visit(one)

    visit(schema["properties"])
    return found


def _written(key: str, part: Schema) -> str:
    if part.get("type") == "array":
        return f"[[{key}]]"
    tables = part.get("type") == "object" and "$ref" in part.get("additionalProperties", {})
    return f"[{key}.NAME]" if tables else f"[{key}]"


def _type(part: Schema) -> str:
    """The type of a value in words, with its limits."""
    if "$ref" in part:
        name = part["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in part:
        return " or ".join(_type(one) for one in part["anyOf"] if one.get("type") != "null")
    if "enum" in part:
        return ", ".join(f"`{one}`" for one in part["enum"])
    if part.get("type") == "array":
        return f"list of {_type(part.get('items', {}))}"
    if part.get("type") == "object":
        return f"table: name → {_type(part.get('additionalProperties', {}))}"
    return _WORDS.get(part.get("type", ""), "any value") + _limits(part)


def _limits(part: Schema) -> str:
    limits = [f"{sign} {part[key]:g}" for key, sign in _SIGNS.items() if key in part]
    return f" ({', '.join(limits)})" if limits else ""


def _default(key: str, part: Schema, section: Schema) -> str:
    if key in section.get("required", ()):
        return "**required**"
    if "default" not in part:
        return "its own defaults"
    if part["default"] in (None, "", [], {}):
        return "none"
    return f"`{json.dumps(part['default'], ensure_ascii=False)}`"


def _plain(text: str) -> str:
    return inspect.cleandoc(text).replace("``", "`")


def _meaning(part: Schema) -> str:
    told = part.get("description") or next(
        (one["description"] for one in part.get("anyOf", ()) if "description" in one), ""
    )
    return cell(told)


_WORDS: Final = {
    "string": "text",
    "number": "number",
    "integer": "whole number",
    "boolean": "true or false",
}
_SIGNS: Final = {
    "minimum": "≥",
    "exclusiveMinimum": ">",
    "maximum": "≤",
    "exclusiveMaximum": "<",
}
