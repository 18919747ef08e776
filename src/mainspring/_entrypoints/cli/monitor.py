"""``mainspring monitor``: what the windows of watching found."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from mainspring._entrypoints.cli.opening import command, opened, project_folder
from mainspring._entrypoints.cli.output import Output, cell
from mainspring._entrypoints.cli.parser import count, verb, verbs
from mainspring.core.errors import NotFound

if TYPE_CHECKING:
    from mainspring._bootstrap.workspace import Workspace
    from mainspring.monitoring.windows import Window

_MOST = 100_000
_NAMED = 3


def add(parser: argparse.ArgumentParser) -> None:
    """The verbs of ``monitor``."""
    among = verbs(parser)
    once = verb(
        among,
        "run",
        run_run,
        "take in records and outcomes, close the windows that are due",
        more="Outcomes are the labels of the newest ingested data; a prediction is found again by "
        "its id,\nso ask the endpoint with the row's key as prediction id.",
    )
    once.add_argument(
        "--until-now", action="store_true", help="close the window under way too, as it stands"
    )
    ls = verb(among, "ls", run_ls, "the windows of an endpoint, newest last")
    ls.add_argument("endpoint", nargs="?", metavar="ENDPOINT", help="that of the project if none")
    ls.add_argument("--limit", type=count, default=30, metavar="N", help="newest windows (30)")
    show = verb(among, "show", run_show, "one window: metrics, drift, quality")
    show.add_argument("endpoint", nargs="?", metavar="ENDPOINT", help="that of the project if none")
    show.add_argument(
        "--start", metavar="DATE", help="the window that begins then; else the newest"
    )


def run_run(arguments: argparse.Namespace, output: Output) -> int:
    """One pass of watching."""
    from mainspring._bootstrap.projecting import watch_once

    with opened(arguments) as workspace:
        found = watch_once(workspace, output.note, until_now=arguments.until_now)
    if output.as_json:
        output.document(found)
        return 0
    output.fields(
        [
            ("Endpoint", found.endpoint),
            ("New records", found.shipped),
            ("New outcomes", found.outcomes),
            ("Windows closed", len(found.windows)),
            ("Open alerts", len(found.alerts)),
        ]
    )
    if found.learned_from:
        output.note(
            f"{found.learned_from:,} outcomes were left out: the model has learned from those rows."
        )
    if found.alerts:
        output.heading("Open alerts")
        output.table(
            ("id", "monitor", "severity", "opened (UTC)", "reason"),
            [(a.id, a.monitor, a.severity, a.opened, a.reason) for a in found.alerts],
        )
    if found.windows:
        output.note("See what a window found with: mainspring monitor show")
    else:
        output.note(
            f"The window under way closes at {cell(found.open_until)} UTC (or --until-now)."
        )
    return 0


def run_ls(arguments: argparse.Namespace, output: Output) -> int:
    """Lists windows."""
    with opened(arguments) as workspace:
        endpoint = endpoint_of(workspace, arguments.endpoint)
        windows = workspace.watch.windows(endpoint, limit=_MOST)[-arguments.limit :]
    if output.as_json:
        output.document({"endpoint": endpoint, "windows": windows})
        return 0
    names = list(dict.fromkeys(name for window in windows for name in window.metrics))
    output.table(
        ("start (UTC)", "rows", "labelled", "versions", *names, "moved inputs"),
        [
            (
                window.start,
                window.rows,
                f"{window.coverage:.0%}",
                window.versions,
                *(_value(window, name) for name in names),
                first_of([one.name for one in window.drift if one.moved]),
            )
            for window in windows
        ],
    )
    if not windows:
        output.note(
            f"No window of {endpoint!r} was closed yet. One that is due is closed by: "
            f"{command(arguments, 'monitor run')}"
        )
    return 0


def run_show(arguments: argparse.Namespace, output: Output) -> int:
    """Shows one window."""
    with opened(arguments) as workspace:
        endpoint = endpoint_of(workspace, arguments.endpoint)
        windows = workspace.watch.windows(endpoint, limit=_MOST)
    window = _chosen(windows, endpoint, arguments.start)
    if output.as_json:
        output.document(window)
        return 0
    output.fields(
        [
            ("Endpoint", window.endpoint),
            ("Window", f"{cell(window.start)} to {cell(window.end)} UTC"),
            ("Model", f"{window.model}, versions {cell(window.versions)}"),
            ("Rows", window.rows),
            ("Labelled", f"{window.labelled:,} ({window.coverage:.0%})"),
        ]
    )
    if window.metrics:
        output.heading("Metrics (what callers got; others on the same rows)")
        output.table(
            ("metric", "of", "value", "interval", "rows"),
            [
                (name, who, one.value, f"{cell(one.low)} to {cell(one.high)}", one.n)
                for who, metrics in (("live", window.metrics), *window.references.items())
                for name, one in metrics.items()
            ],
        )
    drifts = [*window.drift, *([window.score_drift] if window.score_drift else [])]
    if drifts:
        output.heading("Drift against what the model learned from")
        output.table(
            ("input", "distance", "significance", "rows", "moved"),
            [(d.name, d.effect, d.significance, d.rows, d.moved) for d in drifts],
        )
    if window.quality:
        output.heading("Quality")
        output.table(
            ("input", "check", "observed", "expected"),
            [(q.name, q.check, q.observed, q.expected) for q in window.quality],
        )
    return 0


def first_of(names: list[str]) -> str:
    """The first names; ``show`` and ``--json`` tell all."""
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def _value(window: Window, name: str) -> Any:
    return window.metrics[name].value if name in window.metrics else None


def _chosen(windows: list[Window], endpoint: str, start: str | None) -> Window:
    found = [
        one for one in windows if start is None or one.start.isoformat().startswith(start[:19])
    ]
    if not found:
        newest = f" The newest starts {windows[-1].start:%Y-%m-%d}." if windows else ""
        raise NotFound(
            "monitoring.window_not_found",
            f"{endpoint!r} has no window{f' that starts {start[:40]!r}' if start else ' yet'}.",
            hint=f"List them with 'mainspring monitor ls {endpoint}'.{newest}"
            if windows
            else "'mainspring monitor run' closes those that are due, with --until-now also the one "
            "under way.",
            endpoint=endpoint,
        )
    return found[-1] if start is None else found[0]


def endpoint_of(workspace: Workspace, named: str | None) -> str:
    """The endpoint named, or that of the project.

    Errors: ``cli.no_endpoint`` when neither says one.
    """
    if named is not None:
        return named
    if project_folder(workspace.folder) is not None:
        endpoint = workspace.project.spec.endpoint
        if endpoint is not None:
            return endpoint.name
    raise NotFound(
        "cli.no_endpoint",
        "The project declares no endpoint, and none was named.",
        hint="Name one, or add an [endpoint] section to mainspring.toml.",
    )
