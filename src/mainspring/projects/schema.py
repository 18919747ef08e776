"""The JSON Schema of ``mainspring.toml``, from which editors complete and explain keys."""

from __future__ import annotations

import json
from typing import Any, Final

import msgspec

from mainspring.projects.spec import ProjectFile

SCHEMA_FILE_NAME: Final = "mainspring.schema.json"
_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


def project_schema() -> dict[str, Any]:
    """The schema (dialect 2020-12): names, types, ranges, patterns and descriptions of all keys.

    It knows single keys; the rules between keys are known only to ``read_project``.
    """
    (root,), sections = msgspec.json.schema_components([ProjectFile], ref_template="#/$defs/{name}")
    top = sections.pop(root["$ref"].rpartition("/")[2])
    return {
        "$schema": _DIALECT,
        "title": "mainspring.toml",
        "description": top["description"],
        **{key: value for key, value in top.items() if key not in {"title", "description"}},
        "$defs": {name: sections[name] for name in sorted(sections)},
    }


def schema_text() -> str:
    """The schema as the file that ships with the package."""
    return json.dumps(project_schema(), indent=2, ensure_ascii=False) + "\n"
