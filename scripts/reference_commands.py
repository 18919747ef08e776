"""Writes docs/reference/commands.md from the parsers themselves; ``--check`` only compares."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from mainspring._entrypoints.cli import build_parser
from mainspring._entrypoints.cli.commands import COMMANDS
from mainspring._entrypoints.cli.parser import below

TARGET = Path(__file__).parents[1] / "docs" / "reference" / "commands.md"
HEAD = """\
# Commands

Written by `scripts/reference_commands.py` from the commands themselves.

`mainspring [--workspace DIR | --url URL] NOUN VERB ...`. Listing and showing verbs take `--json`:
one JSON document on standard output and nothing else there; an error is a document too
(`{"error": {...}}`). Progress, hints and errors go to standard error.

| exit code | means |
|---|---|
| 0 | done |
| 1 | the thing failed: a check or a gate said no, or its state forbids it |
| 2 | wrong use |
| 3 | not found |
| 4 | denied |
| 5 | unavailable: something needed is away |
"""


def commands_page() -> str:
    """The whole page."""
    parts = [HEAD]
    groups = dict.fromkeys(command.group for command in COMMANDS.values())
    for group in groups:
        parts.append(f"## {group}\n")
        for noun, command in COMMANDS.items():
            if command.group == group:
                parts += _noun(noun)
    return "\n".join(parts).rstrip() + "\n"


def _noun(noun: str) -> Iterator[str]:
    parser = below(build_parser(noun))[noun]
    yield f"### {noun}\n"
    yield _told(parser)
    verbs = below(parser)
    if not verbs:
        yield _usage(parser)
    for verb, inner in verbs.items():
        yield f"#### {noun} {verb}\n"
        yield _told(inner)
        yield _usage(inner)


def _told(parser: argparse.ArgumentParser) -> str:
    """A description; lines set off by two blanks are an example."""
    blocks = (parser.description or "").strip().split("\n\n")
    return (
        "\n\n".join(f"```\n{block}\n```" if block.startswith("  ") else block for block in blocks)
        + "\n"
    )


def _usage(parser: argparse.ArgumentParser) -> str:
    shown = [
        action
        for action in parser._actions  # noqa: SLF001 - argparse tells of them nowhere else
        if action.help != argparse.SUPPRESS and action.dest != "help"
    ]
    shown.sort(key=lambda action: bool(action.option_strings))
    rows = [f"| `{_name(action)}` | {_cell(action.help or '')} |" for action in shown]
    words = " ".join([parser.prog, *map(_word, shown)])
    table = ["| argument | means |", "|---|---|", *rows, ""] if rows else []
    return "\n".join([f"`{words}`\n", *table])


def _word(action: argparse.Action) -> str:
    name = _name(action)
    if action.nargs == "+":
        return f"{name} [{name} ...]"
    if action.nargs == "*":
        return f"[{name} ...]"
    optional = action.nargs == "?" or (action.option_strings and not action.required)
    return f"[{name}]" if optional else name


def _name(action: argparse.Action) -> str:
    value = str(action.metavar or action.dest)
    if not action.option_strings:
        return value
    option = next(name for name in action.option_strings if name.startswith("--"))
    return option if action.nargs == 0 else f"{option} {value}"


def _cell(text: str) -> str:
    return re.sub(r"\s+", " ", text).replace("|", "\\|").replace("%%", "%")


def main() -> int:
    """Writes the page, or says that the committed one is old."""
    page = commands_page()
    if "--check" in sys.argv[1:]:
        current = TARGET.read_text("utf-8") if TARGET.exists() else ""
        if current != page:
            print(f"{TARGET.name} is old; run scripts/reference_commands.py", file=sys.stderr)
        return int(current != page)
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    TARGET.write_text(page, "utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
