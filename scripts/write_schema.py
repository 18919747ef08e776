"""Writes src/mainspring/projects/mainspring.schema.json from the section types."""

from __future__ import annotations

from pathlib import Path

from mainspring.projects.schema import SCHEMA_FILE_NAME, schema_text

if __name__ == "__main__":
    root = Path(__file__).resolve().parent.parent
    file = root / "src" / "mainspring" / "projects" / SCHEMA_FILE_NAME
    file.write_text(schema_text(), encoding="utf-8", newline="\n")
    print(f"Wrote {file.relative_to(root)}.")
