"""``mainspring gc``: removes for good what was deleted, and frees bytes that nothing needs.

Kept are all runs and logged models that a model version names, every package, every step result,
and what was stored in the last hour (--grace), because its row may not be written yet. With
--dry-run it only says what would go.
"""

from __future__ import annotations

import argparse
from datetime import timedelta
from typing import TYPE_CHECKING

from mainspring._entrypoints.cli.opening import opened
from mainspring._entrypoints.cli.output import Output
from mainspring._entrypoints.cli.parser import common
from mainspring.core.durations import parse_duration

if TYPE_CHECKING:
    from mainspring.governance.garbage import Found

_KILO = 1000
_SHOWN = 20


def add(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``gc``."""
    parser.add_argument("--dry-run", action="store_true", help="say what would go, change nothing")
    parser.add_argument(
        "--older-than",
        default="0s",
        metavar="AGE",
        help="only what was deleted longer ago, such as 7d (0s)",
    )
    parser.add_argument(
        "--grace",
        default="1h",
        metavar="AGE",
        help="spare bytes stored more recently; 0s only while nothing else writes (1h)",
    )
    common(parser, run)


def run(arguments: argparse.Namespace, output: Output) -> int:
    """Says what goes, then removes it."""
    ages = {
        "grace": parse_duration(arguments.grace),
        "older_than": parse_duration(arguments.older_than),
    }
    with opened(arguments) as workspace:
        found = workspace.garbage.look(**ages)
        if not output.as_json:
            _tell(found, output, ages["grace"])
        if not arguments.dry_run:
            found = workspace.garbage.collect(**ages, actor=workspace.actor)
    if output.as_json:
        output.document({"dry_run": arguments.dry_run, "found": found})
    elif not arguments.dry_run:
        output.line(f"Freed {_size(found.size_bytes)} in {found.objects:,} objects.")
    return 0


def _tell(found: Found, output: Output, grace: timedelta) -> None:
    output.fields(
        [
            ("Deleted runs", f"{len(found.runs):,} go for good"),
            ("Deleted models", f"{len(found.models):,} go for good"),
            ("Bytes", f"{_size(found.size_bytes)} in {found.objects:,} objects that nothing needs"),
        ]
    )
    for what, names in (("run", found.runs), ("logged model", found.models)):
        for name in names[:_SHOWN]:
            output.line(f"  {what} {name}")
        if len(names) > _SHOWN:
            output.line(f"  and {len(names) - _SHOWN:,} more")
    if found.kept:
        output.note(
            f"{found.kept:,} deleted runs or models stay: versions, models or runs name them, or they are held."
        )
    if found.young:
        output.note(
            f"{_size(found.young_bytes)} in {found.young:,} objects stay for now: "
            f"stored within the last {grace}."
        )


def _size(count_bytes: float) -> str:
    for unit in ("bytes", "kB", "MB", "GB"):
        if count_bytes < _KILO:
            return f"{count_bytes:,.0f} {unit}" if unit == "bytes" else f"{count_bytes:,.1f} {unit}"
        count_bytes /= _KILO
    return f"{count_bytes:,.1f} TB"
