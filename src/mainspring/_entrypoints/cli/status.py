"""``mainspring status``: where the loop stands: what is live, what is wrong, what is due."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from mainspring._entrypoints.cli.opening import opened
from mainspring._entrypoints.cli.output import Output
from mainspring._entrypoints.cli.parser import common

if TYPE_CHECKING:
    from mainspring.projects.standing import Standing


def add(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``status``."""
    common(parser, run)


def run(arguments: argparse.Namespace, output: Output) -> int:
    """Shows where the project stands."""
    from mainspring._bootstrap.projecting import standing_of

    with opened(arguments) as workspace:
        found = standing_of(workspace)
    if output.as_json:
        output.document(found)
        return 0
    window, challenge = found.window, found.challenge
    output.fields(
        [
            ("Project", found.project),
            ("Champion", _version(found.model, found.champion)),
            ("Candidate", _version(found.model, found.candidate) if found.candidate else None),
            ("Gateway", found.gateway or "not running"),
            ("Challenge", f"{challenge.id}: {challenge.state}" if challenge else None),
            ("Last window", _window(found) if window else None),
        ]
    )
    _tables(found, output)
    if found.due:
        output.heading("Due")
        for text in found.due:
            output.paragraph(f"- {text}", indent="  ")
    return 0


def _tables(found: Standing, output: Output) -> None:
    if found.endpoints:
        output.heading("Endpoints")
        output.table(
            ("endpoint", "answered by", "others"),
            [(one.endpoint, one.version, one.others) for one in found.endpoints],
        )
    output.heading("Data")
    output.table(
        ("dataset", "version", "rows", "ingested (UTC)"),
        [(one.dataset, one.version, one.rows, one.ingested) for one in found.datasets],
    )
    if found.alerts:
        output.heading("Open alerts")
        output.table(
            ("id", "endpoint", "monitor", "severity", "reason"),
            [(a.id, a.endpoint, a.monitor, a.severity, a.reason) for a in found.alerts],
        )


def _version(model: str, number: int | None) -> str:
    return f"{model}/{number}" if number is not None else "none yet"


def _window(found: Standing) -> str:
    window = found.window
    if window is None:
        return ""
    metrics = ", ".join(
        f"{name} {one.value:.4g}" for name, one in window.metrics.items() if one.value is not None
    )
    told = f"{window.start:%Y-%m-%d} to {window.end:%Y-%m-%d %H:%M} UTC, {window.rows:,} rows"
    return f"{told}; {metrics}" if metrics else f"{told}, no outcomes yet"
