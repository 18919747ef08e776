"""``mainspring data``: datasets and their versions.

A dataset is what a source becomes: read, cleaned, checked against its expectations and stored as a
version that never changes. What the project declares in mainspring.toml is read from the nearest
project; ORDERS@3 is the third version of the dataset orders.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from mainspring._entrypoints.cli.opening import command, opened
from mainspring._entrypoints.cli.output import FAILED, Output, cell
from mainspring._entrypoints.cli.parser import count, split_version, verb, verbs, version_number
from mainspring.core.errors import Invalid, NotFound
from mainspring.core.names import did_you_mean

if TYPE_CHECKING:
    from mainspring._bootstrap.workspace import Workspace
    from mainspring.data import Dataset, DatasetDiff, DatasetVersion, IngestReport
    from mainspring.ports.tables import Frame

_SHORT = 12


def add(parser: argparse.ArgumentParser) -> None:
    """The verbs of ``data``."""
    among = verbs(parser)
    verb(among, "ls", run_ls, "the datasets, declared and stored")
    show = verb(among, "show", run_show, "a dataset version: columns, rows, checks, first rows")
    show.add_argument(
        "dataset", metavar="DATASET[@VERSION]", help="its name; the newest unless told"
    )
    show.add_argument("--rows", type=int, default=5, metavar="N", help="rows to show (5)")
    ingest = verb(
        among,
        "ingest",
        run_ingest,
        "read the sources, check them, store new versions",
        more="What is stored already is not stored twice: running it again costs little.",
    )
    ingest.add_argument("dataset", nargs="*", metavar="DATASET", help="all of the project if none")
    ingest.add_argument(
        "--period", action="append", metavar="P", help="only this period, such as 2013-04"
    )
    check = verb(
        among,
        "check",
        run_check,
        "what an ingestion would find, without storing",
        more="Exit code 1 when an expectation of severity 'fail' is broken.",
    )
    check.add_argument("dataset", nargs="*", metavar="DATASET", help="all of the project if none")
    diff = verb(among, "diff", run_diff, "how two versions differ, row by row")
    diff.add_argument("dataset", metavar="DATASET", help="its name")
    diff.add_argument("before", type=version_number, metavar="VERSION", help="the older one")
    diff.add_argument(
        "after", type=version_number, metavar="VERSION", nargs="?", help="the newer one; the newest"
    )
    log = verb(among, "log", run_log, "every version of a dataset, newest first")
    log.add_argument("dataset", metavar="DATASET", help="its name")
    aside = verb(among, "quarantine", run_quarantine, "rows that were set aside, and why")
    aside.add_argument(
        "dataset", metavar="DATASET[@VERSION]", help="its name; the newest unless told"
    )
    aside.add_argument("--limit", type=count, default=20, metavar="N", help="most rows (20)")


# -- listing and showing ----------------------------------------------------------------------


def run_ls(arguments: argparse.Namespace, output: Output) -> int:
    """Lists the datasets."""
    with opened(arguments) as workspace:
        declared = _declared(workspace)
        stored = workspace.datasets.names()
        rows = []
        for name in [*declared, *(name for name in stored if name not in declared)]:
            latest = workspace.datasets.latest(name) if name in stored else None
            rows.append(
                {
                    "dataset": name,
                    "declared": name in declared,
                    "version": latest.version if latest else None,
                    "rows": latest.rows if latest else None,
                    "periods": len(latest.periods) if latest else None,
                    "created": latest.created if latest else None,
                    "source": declared[name].source if name in declared else None,
                }
            )
    if output.as_json:
        output.document({"datasets": rows})
        return 0
    output.table(
        ("dataset", "version", "rows", "periods", "ingested (UTC)", "source"),
        [
            (r["dataset"], r["version"], r["rows"], r["periods"], r["created"], r["source"])
            for r in rows
        ],
    )
    if any(row["version"] is None for row in rows):
        output.note(f"Not ingested yet: {command(arguments, 'data ingest')}")
    return 0


def run_show(arguments: argparse.Namespace, output: Output) -> int:
    """Shows one version."""
    name, number = split_version(arguments.dataset)
    with opened(arguments) as workspace:
        _known(workspace, name)
        version = workspace.datasets.show(name, number)
        frame = workspace.datasets.read(
            f"SELECT * FROM rows_ LIMIT {max(0, arguments.rows)}".replace("rows_", f'"{name}"'),
            {name: version.version},
        )
        first = list(records(frame))
    if output.as_json:
        output.document({"dataset": version, "first_rows": first})
        return 0
    output.fields(
        [
            ("Version", version.name),
            ("Rows", version.rows),
            ("Key", version.spec.key),
            ("Time", version.spec.time),
            ("Periods", _periods(version)),
            ("Ingested", version.created),
            ("Purpose", version.spec.purpose),
            ("Licence", version.spec.licence),
            ("Personal", version.spec.personal),
            ("Digest", version.digest),
            ("Source", version.source),
        ]
    )
    output.heading("Columns")
    output.table(
        ("column", "type", "known ahead"),
        [
            (column.name, column.type, column.name in version.spec.known_ahead)
            for column in version.schema.columns
        ],
    )
    output.heading(f"Checks of {version.period}")
    _checks(output, version.report)
    if first:
        output.heading("First rows")
        table_of(output, frame)
    return 0


def run_log(arguments: argparse.Namespace, output: Output) -> int:
    """Lists the versions of a dataset."""
    with opened(arguments) as workspace:
        _known(workspace, arguments.dataset)
        versions = workspace.datasets.versions(arguments.dataset)
        if not versions:
            workspace.datasets.show(arguments.dataset)  # says that there is none, and what to do
    versions.reverse()
    if output.as_json:
        output.document({"versions": versions})
        return 0
    output.table(
        ("version", "period", "rows", "kept", "set aside", "warned", "ingested (UTC)", "digest"),
        [
            (
                one.version,
                one.period,
                one.rows,
                one.report.rows_kept,
                one.report.rows_quarantined,
                sum(check.verdict == "warned" for check in one.report.checks),
                one.created,
                one.digest[7 : 7 + _SHORT],
            )
            for one in versions
        ],
    )
    return 0


def run_quarantine(arguments: argparse.Namespace, output: Output) -> int:
    """Shows rows set aside."""
    name, number = split_version(arguments.dataset)
    with opened(arguments) as workspace:
        _known(workspace, name)
        frame = workspace.datasets.quarantined(name, number)
    total = _length(frame)
    cut = {column: values[: arguments.limit] for column, values in frame.items()}
    if output.as_json:
        output.document({"dataset": name, "total": total, "rows": list(records(cut))})
        return 0
    if not total:
        output.line("No row was set aside.")
        return 0
    first = ("_reasons", "_period")
    table_of(output, {**{k: cut[k] for k in first if k in cut}, **cut})
    if total > arguments.limit:
        output.note(f"{arguments.limit} of {total:,} rows; --limit N shows more.")
    return 0


# -- bringing in and checking -----------------------------------------------------------------


def run_ingest(arguments: argparse.Namespace, output: Output) -> int:
    """Ingests datasets of the project."""
    made: dict[str, list[DatasetVersion]] = {}
    with opened(arguments) as workspace:
        chosen = _chosen(workspace, arguments.dataset)
        for name, spec in chosen.items():
            output.progress(f"{name}: reading {spec.source} ...")
            began = time.monotonic()
            versions = workspace.datasets.ingest(
                name,
                spec,
                sources=workspace.project.spec.sources,
                folder=workspace.project.folder,
                periods=arguments.period,
            )
            made[name] = list(versions)
            output.progress("")
            _ingested(output, workspace, name, made[name], time.monotonic() - began)
    if output.as_json:
        output.document({"versions": made})
    return 0


def _ingested(
    output: Output, workspace: Workspace, name: str, made: list[DatasetVersion], seconds: float
) -> None:
    if not made:
        latest = workspace.datasets.show(name)
        output.line(f"{name}: nothing new; {latest.name} holds {latest.rows:,} rows.")
        return
    newest = made[-1]
    aside = sum(one.report.rows_quarantined for one in made)
    told = [f"{newest.rows:,} rows"]
    told += [f"{len(newest.periods)} periods"] if len(newest.periods) > 1 else []
    told += [f"{aside:,} set aside"] if aside else []
    output.line(f"{name}: {newest.name} with {', '.join(told)} ({seconds:.1f} s)")
    for check, failed in _warnings(made).items():
        output.line(f"  warning: {failed:,} rows break {check}")
    if aside:
        output.note(f"  See 'mainspring data quarantine {name}'.")


def _warnings(made: list[DatasetVersion]) -> dict[str, int]:
    found: dict[str, int] = {}
    for version in made:
        for check in version.report.checks:
            if check.verdict == "warned":
                found[check.name] = found.get(check.name, 0) + check.failed
    return found


def run_check(arguments: argparse.Namespace, output: Output) -> int:
    """Checks sources without storing."""
    found: dict[str, dict[str, IngestReport]] = {}
    with opened(arguments) as workspace:
        for name, spec in _chosen(workspace, arguments.dataset).items():
            output.progress(f"{name}: reading {spec.source} ...")
            found[name] = workspace.datasets.check(
                name,
                spec,
                sources=workspace.project.spec.sources,
                folder=workspace.project.folder,
            )
            output.progress("")
    failed = any(report.failed for reports in found.values() for report in reports.values())
    if output.as_json:
        output.document({"ok": not failed, "datasets": found})
        return FAILED if failed else 0
    for name, reports in found.items():
        for period, report in reports.items():
            if len(reports) == 1 or report.failed or _broken(report):
                output.line(f"{name}, {period}: {report.rows_in:,} rows")
                _checks(output, report, only_broken=len(reports) > 1)
                output.line()
        if len(reports) > 1:
            output.line(f"{name}: {len(reports)} periods looked at.")
    output.line("An ingestion would be refused." if failed else "An ingestion would go through.")
    return FAILED if failed else 0


def _broken(report: IngestReport) -> bool:
    return any(check.verdict != "held" for check in report.checks)


def _checks(output: Output, report: IngestReport, *, only_broken: bool = False) -> None:
    checks = [one for one in report.checks if not only_broken or one.verdict != "held"]
    if not checks:
        output.line("No expectation is declared." if not report.checks else "All held.")
        return
    output.table(
        ("verdict", "expectation", "broken", "of", "such as"),
        [
            (one.verdict, one.name, one.failed, one.checked, ", ".join(one.examples[:3]))
            for one in checks
        ],
    )
    for one in checks:
        if one.verdict != "held" and one.why:
            output.paragraph(f"{one.name}: {one.why}", indent="  ")


# -- comparing --------------------------------------------------------------------------------


def run_diff(arguments: argparse.Namespace, output: Output) -> int:
    """Compares two versions."""
    with opened(arguments) as workspace:
        _known(workspace, arguments.dataset)
        after = arguments.after or workspace.datasets.show(arguments.dataset).version
        diff = workspace.datasets.diff(arguments.dataset, arguments.before, after)
    if output.as_json:
        output.document(diff)
        return 0
    output.line(f"{diff.dataset}: version {diff.before} -> {diff.after}")
    output.fields(
        [
            ("Rows", f"{diff.rows_before:,} -> {diff.rows_after:,}"),
            ("Added", f"{diff.added:,}{_such(diff, 'added')}"),
            ("Removed", f"{diff.removed:,}{_such(diff, 'removed')}"),
            ("Changed", f"{diff.changed:,}{_such(diff, 'changed')}"),
            ("Unchanged", diff.unchanged),
        ]
    )
    moved = [
        one
        for one in diff.columns
        if one.changed_rows or one.before != one.after or one.nulls_before != one.nulls_after
    ]
    if moved:
        output.heading("Columns that differ")
        output.table(
            ("column", "type", "rows changed", "nulls", "mean"),
            [
                (
                    one.column,
                    one.after if one.before == one.after else f"{one.before} -> {one.after}",
                    one.changed_rows,
                    f"{one.nulls_before:,} -> {one.nulls_after:,}",
                    ""
                    if one.mean_before is None and one.mean_after is None
                    else f"{cell(one.mean_before)} -> {cell(one.mean_after)}",
                )
                for one in moved
            ],
        )
    return 0


def _such(diff: DatasetDiff, kind: str) -> str:
    examples = diff.examples.get(kind, ())
    return f"   such as {', '.join(examples)}" if examples else ""


# -- parts ------------------------------------------------------------------------------------


def _declared(workspace: Workspace) -> dict[str, Dataset]:
    """The datasets of the project; none when the workspace stands without one."""
    from mainspring._entrypoints.cli.opening import project_folder

    if project_folder(workspace.folder) is None:
        return {}
    return dict(workspace.project.spec.datasets)


def _chosen(workspace: Workspace, names: list[str]) -> dict[str, Dataset]:
    """The named datasets of the project, or all of them.

    Errors: ``data.not_declared`` with the nearest name.
    """
    declared = workspace.project.spec.datasets
    for name in names:
        if name not in declared:
            at = " without a version" if "@" in name else ""
            raise NotFound(
                "data.not_declared",
                f"{workspace.project.file.name} declares no dataset {name[:80]!r}.",
                hint=f"{did_you_mean(name.partition('@')[0][:128], declared)}{at}",
                dataset=name[:80],
            )
    if not declared:
        raise Invalid(
            "data.not_declared",
            f"{workspace.project.file.name} declares no dataset.",
            hint="Add a [datasets.NAME] section.",
        )
    return {name: declared[name] for name in names or declared}


def _known(workspace: Workspace, name: str) -> None:
    """Nothing, when a dataset is declared or stored.

    Errors: ``data.dataset_not_found`` with the nearest name of both.
    """
    known = {*_declared(workspace), *workspace.datasets.names()}
    if name not in known:
        raise NotFound(
            "data.dataset_not_found",
            f"There is no dataset {name[:80]!r}.",
            hint=did_you_mean(name[:128], known),
            dataset=name[:80],
        )


def _periods(version: DatasetVersion) -> str:
    names = sorted(version.periods)
    if len(names) == 1:
        return names[0]
    return f"{len(names)}: {names[0]} to {names[-1]}"


def _length(frame: Frame) -> int:
    return len(next(iter(frame.values()))) if frame else 0


def records(frame: Frame | Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The rows of a frame as plain values: moments as text, nothing as None."""
    columns = {name: [_plain(value) for value in values] for name, values in frame.items()}
    for index in range(_length(frame)):
        yield {name: values[index] for name, values in columns.items()}


def table_of(output: Output, frame: Frame | Mapping[str, Any]) -> None:
    """A frame as a table; on a terminal the columns that do not fit are named below it."""
    columns = {name: [brief(_plain(value)) for value in values] for name, values in frame.items()}
    kept = output.fitting(columns)
    output.table(kept, zip(*(columns[name] for name in kept), strict=True))
    left = [name for name in columns if name not in kept]
    if left:
        output.line(f"... and {len(left)} more columns: {', '.join(left)}")


def brief(value: Any) -> Any:
    """A number of a row with at most six digits that count."""
    return format(value, ".6g") if isinstance(value, float) else value


def _plain(value: Any) -> Any:
    """One value of a numpy column as a plain one."""
    if value is None or isinstance(value, str):
        return value
    if type(value).__name__ == "datetime64":
        text = str(value)
        return None if text == "NaT" else f"{text[:19]}Z"
    plain = value.item() if hasattr(value, "item") else value
    if isinstance(plain, float) and math.isnan(plain):  # stands for nothing
        return None
    if isinstance(plain, float) and plain.is_integer() and abs(plain) < 2**53:
        return int(plain)
    return plain
