"""``mainspring runs sync``: sends what runs logged while the store was away, or offline."""

from __future__ import annotations

import argparse
from typing import Any

from mainspring._entrypoints.cli.opening import opened
from mainspring._entrypoints.cli.output import Output
from mainspring._entrypoints.cli.parser import verb


def add(among: Any) -> None:
    """The verb ``sync``."""
    verb(
        among,
        "sync",
        run_sync,
        "send what runs logged offline, or while the store was away",
        more="What a living process still writes is left to it. Sending twice does no harm.",
    )


def run_sync(arguments: argparse.Namespace, output: Output) -> int:
    """Sends what waits in the spool."""
    with opened(arguments, anywhere=True, mode="online") as workspace:
        count = workspace.runs.sync()
    if output.as_json:
        output.document({"records": count})
        return 0
    output.line(f"Sent {count:,} records." if count else "Nothing waits.")
    return 0
