"""The reference page of event kinds, from each stage's ``events.py``, without importing any."""

from __future__ import annotations

import ast
from pathlib import Path

from reference_errors import cell


def event_kinds(package: Path) -> dict[str, tuple[str, str]]:
    """Every event kind: its meaning and the module that declares it."""
    found: dict[str, tuple[str, str]] = {}
    for path in sorted(package.rglob("events.py")):
        place = ".".join(path.relative_to(package).with_suffix("").parts)
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            called = isinstance(node, ast.Call) and getattr(node.func, "id", "") == "kind"
            if called and isinstance(node, ast.Call):
                name, meaning = (ast.literal_eval(one) for one in node.args)
                found[name] = (meaning, place)
    return dict(sorted(found.items()))


def events_page(package: Path) -> str:
    """Every kind of event, by stage."""
    found = event_kinds(package)
    lines = [
        "# Event kinds",
        "",
        (
            "A stage announces a fact in the transaction of the change it tells of. The rows are "
            "append-only and chained by digest; audit, lineage and triggers read them. "
            "[How it works](../how-it-works.md#the-one-record) tells how the chain is checked."
        ),
    ]
    for stage in sorted({name.split(".")[0] for name in found}):
        lines += ["", f"## {stage}", "", "| kind | meaning | declared in |", "|---|---|---|"]
        lines += [
            f"| `{name}` | {cell(meaning)} | `{place}` |"
            for name, (meaning, place) in found.items()
            if name.split(".")[0] == stage
        ]
    return "\n".join(lines) + "\n"
