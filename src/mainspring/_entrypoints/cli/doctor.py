"""``mainspring doctor``: what is wrong with this installation or workspace, and what to do.

It only looks (though an older database is first brought to this version, as by any command). Exit
code 1 when something is wrong; a warning alone is 0.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import stat
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from importlib import metadata
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from mainspring._entrypoints.cli.opening import PROJECT_FILE, project_folder, recorded
from mainspring._entrypoints.cli.output import FAILED, Output
from mainspring._entrypoints.cli.parser import common
from mainspring.core.errors import MainspringError

if TYPE_CHECKING:
    from mainspring._bootstrap.workspace import Workspace

Severity = Literal["ok", "info", "warning", "wrong"]

LEAST_FREE_BYTES: Final = 100_000_000
FEW_FREE_BYTES: Final = 2_000_000_000
OBJECTS_SAMPLED: Final = 50
QUICK_EVENTS: Final = 200_000
_PRIVATE: Final = 0o077
_BUILT: Final = datetime(2025, 1, 1, tzinfo=UTC)
_SKEW: Final = timedelta(minutes=5)
_GIVES: Final = {
    "sklearn": "logistic and linear models, and models saved by scikit-learn",
    "lightgbm": "gradient boosting",
    "tune": "a search for hyperparameters that learns from its trials",
    "onnx": "serving models from any framework that exports ONNX",
    "sign": "signed model packages",
    "postgres": "PostgreSQL as the database of a team",
}
_REQUIREMENT = re.compile(r"([A-Za-z0-9._-]+)(?:\[[^]]*\])?\s*\(?([^;)]*)\)?\s*(?:;(.*))?")
_EXTRA = re.compile(r"extra\s*==\s*['\"]([^'\"]+)['\"]")
_BOUND = re.compile(r"(>=|<=|==|!=|<|>|~=)\s*([0-9][0-9.]*)")


class Finding(NamedTuple):
    """One thing looked at, how it is, and what to do when it is not well."""

    severity: Severity
    subject: str
    found: str
    todo: str = ""


def add(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``doctor``."""
    common(parser, run)


def run(arguments: argparse.Namespace, output: Output) -> int:
    """Looks at everything."""
    findings = [*_python(), *_libraries(), *_settings_and_workspace(arguments)]
    wrong = sum(one.severity == "wrong" for one in findings)
    warned = sum(one.severity == "warning" for one in findings)
    if output.as_json:
        output.document({"ok": not wrong, "findings": [one._asdict() for one in findings]})
        return FAILED if wrong else 0
    for one in findings:
        output.fields([(_MARKS[one.severity], f"{one.subject}: {one.found}")])
        if one.todo:
            output.fields([(" " * _MARK_WIDTH, one.todo)])
    output.line()
    if wrong or warned:
        output.line(f"{wrong} wrong, {warned} to look at.")
    else:
        output.line("Nothing is wrong.")
    return FAILED if wrong else 0


_MARK_WIDTH: Final = len("warning")
_MARKS: Final[dict[Severity, str]] = {
    "ok": "ok".ljust(_MARK_WIDTH),
    "info": "-".ljust(_MARK_WIDTH),
    "warning": "warning".ljust(_MARK_WIDTH),
    "wrong": "WRONG".ljust(_MARK_WIDTH),
}


# -- the installation -------------------------------------------------------------------------


def _python() -> Iterator[Finding]:
    version = ".".join(map(str, sys.version_info[:3]))
    required = metadata.distribution("mainspring").metadata["Requires-Python"]
    if _allowed(version, required):
        yield Finding("ok", "python", version)
    else:
        yield Finding("wrong", "python", f"{version}, not {required}", "Install a newer Python.")


def _libraries() -> Iterator[Finding]:
    missing: dict[str, list[str]] = {}
    here: list[str] = []
    for text in metadata.requires("mainspring") or []:
        found = _REQUIREMENT.match(text)
        if found is None:
            continue
        name, bounds, marker = found[1], found[2].strip(), found[3] or ""
        extra = _EXTRA.search(marker)
        try:
            version = metadata.version(name)
        except metadata.PackageNotFoundError:
            if extra is None:
                todo = f"pip install '{name}{bounds}'"
                yield Finding("wrong", name, "not installed", todo)
            elif extra[1] in _GIVES:
                missing.setdefault(extra[1], []).append(name)
            continue
        if name == "mainspring":
            continue
        if _allowed(version, bounds):
            here.append(f"{name} {version}")
        else:
            todo = f"pip install '{name}{bounds}'"
            severity: Severity = "wrong" if extra is None else "warning"
            yield Finding(severity, name, f"{version}, allowed is {bounds}", todo)
    yield Finding("ok", "libraries", ", ".join(dict.fromkeys(here)))
    for extra_name, names in missing.items():
        yield Finding(
            "info",
            f"extra {extra_name}",
            f"not installed ({', '.join(names)}); it gives {_GIVES[extra_name]}",
            f"If you want it: pip install 'mainspring[{extra_name}]'",
        )


def _allowed(version: str, bounds: str) -> bool:
    """Whether a version lies within bounds such as ``>=1.5,<2``. A pre-release counts as its number."""
    have = _numbers(version)
    tests: dict[str, Callable[[tuple[int, ...]], bool]] = {
        ">=": lambda wanted: have >= wanted,
        "<=": lambda wanted: have <= wanted,
        "<": lambda wanted: have < wanted,
        ">": lambda wanted: have > wanted,
        "==": lambda wanted: have[: len(wanted)] == wanted,
        "!=": lambda wanted: have[: len(wanted)] != wanted,
        "~=": lambda wanted: have >= wanted and have[: len(wanted) - 1] == wanted[:-1],
    }
    return all(tests[sign](_numbers(number)) for sign, number in _BOUND.findall(bounds))


def _numbers(version: str) -> tuple[int, ...]:
    found = re.match(r"[0-9]+(\.[0-9]+)*", version)
    return tuple(int(part) for part in found[0].split(".")) if found else ()


# -- the workspace ----------------------------------------------------------------------------


def _settings_and_workspace(arguments: argparse.Namespace) -> Iterator[Finding]:
    from mainspring._bootstrap.workspace import locate_workspace, open_workspace

    try:
        folder, settings = locate_workspace(arguments.workspace)
    except MainspringError as error:
        yield Finding("wrong", "settings", error.message, error.hint)
        return
    changed = [name for name, one in settings.items() if one.origin != "default"]
    yield Finding("ok", "settings", f"set: {', '.join(changed)}" if changed else "all defaults")
    yield from _project(folder)
    if not folder.is_dir():
        yield Finding(
            "info", "workspace", f"none yet at {folder}", "It is made by the first command."
        )
        return
    yield from _folder(folder)
    with open_workspace(arguments.workspace) as workspace:
        for look in (_clock, _database, _record, _objects, _gateway):
            yield from _tried(look, workspace)


def _tried(
    look: Callable[[Workspace], Iterator[Finding]], workspace: Workspace
) -> Iterator[Finding]:
    """What a look finds; what it could not see because of an error is a finding too."""
    subject = look.__name__.strip("_")
    try:
        yield from look(workspace)
    except MainspringError as error:
        yield Finding("wrong", subject, error.message, error.hint)
    except OSError as error:
        yield Finding("wrong", subject, str(error), "Check the permissions and the disk.")


def _project(folder: Path) -> Iterator[Finding]:
    from mainspring.projects.file import read_project
    from mainspring.projects.flaws import ProjectInvalid

    where = project_folder(folder)
    if where is None:
        yield Finding("info", "project", "none here", "Start one with 'mainspring init'.")
        return
    try:
        project = read_project(where)
    except ProjectInvalid as error:
        for problem in error.problems:
            found = f"{PROJECT_FILE}:{problem.line}:{problem.column}: {problem.message}"
            yield Finding("wrong", "project", found, problem.hint)
    except MainspringError as error:
        yield Finding("wrong", "project", error.message, error.hint)
    else:
        yield Finding("ok", "project", f"{project.spec.project.name} in {where}")


def _folder(folder: Path) -> Iterator[Finding]:
    mode = stat.S_IMODE(folder.stat().st_mode)
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        yield Finding("wrong", "workspace", f"{folder} cannot be written", f"chmod u+rwx {folder}")
    elif mode & _PRIVATE:
        yield Finding(
            "warning",
            "workspace",
            f"others on this machine may look into {folder} (mode {mode:o})",
            f"chmod 700 {folder}",
        )
    else:
        yield Finding("ok", "workspace", f"{folder}, for its owner alone")
    free_bytes = shutil.disk_usage(folder).free
    told = f"{free_bytes / 1e9:,.1f} GB free"
    if free_bytes < LEAST_FREE_BYTES:
        yield Finding("wrong", "disk", told, "Free some space: writes will be refused.")
    elif free_bytes < FEW_FREE_BYTES:
        yield Finding("warning", "disk", told, "Free some space before the next ingestion.")
    else:
        yield Finding("ok", "disk", told)


def _clock(workspace: Workspace) -> Iterator[Finding]:
    now = workspace.clock.now()
    if now < _BUILT:
        todo = "Set it; NTP keeps it right."
        yield Finding("wrong", "clock", f"it says {now:%Y-%m-%d %H:%M} UTC", todo)
        return
    newest = recorded(workspace, lambda log: log.newest(limit=1))
    if newest and newest[0].recorded > now + _SKEW:
        yield Finding(
            "wrong",
            "clock",
            f"it says {now:%Y-%m-%d %H:%M} UTC, and the newest event was written at "
            f"{newest[0].recorded:%Y-%m-%d %H:%M}",
            "Set it, or wait: events would stand in the wrong order of time.",
        )
    else:
        yield Finding("ok", "clock", f"{now:%Y-%m-%d %H:%M} UTC")


def _database(workspace: Workspace) -> Iterator[Finding]:
    problems = workspace.database.check()
    if problems:
        told = "; ".join(problems[:3])
        todo = "Stop everything that writes, and restore the newest backup."
        yield Finding("wrong", "database", told, todo)
    else:
        kind = workspace.database.dialect
        yield Finding("ok", "database", f"{kind}, sound, at the schema of this version")


def _record(workspace: Workspace) -> Iterator[Finding]:
    from mainspring.governance.audit import verify

    count = recorded(workspace, lambda log: log.count())
    if count > QUICK_EVENTS:
        yield Finding(
            "info", "record", f"{count:,} events, not looked at", "See 'mainspring audit verify'."
        )
        return
    report = recorded(workspace, verify)
    if report.flaw is None:
        yield Finding("ok", "record", f"chain unbroken, events so far: {report.events:,}")
    else:
        yield Finding(
            "wrong",
            "record",
            f"event {report.flaw.sequence} {report.flaw.what}: {report.flaw.detail}",
            "Keep a copy of the workspace as it is, and compare with a backup.",
        )


def _objects(workspace: Workspace) -> Iterator[Finding]:
    # Addresses are digests, so whichever come first are as good as drawn by lot.
    sample = list(islice(workspace.objects.list(), OBJECTS_SAMPLED))
    damaged = [digest for digest in sample if not workspace.objects.verify(digest)]
    if damaged:
        yield Finding(
            "wrong",
            "objects",
            f"{len(damaged)} of {len(sample)} looked at do not match their address, such as "
            f"{damaged[0]}",
            "Restore them from a backup; 'mainspring models verify' tells which versions need them.",
        )
    else:
        yield Finding("ok", "objects", f"{len(sample)} looked at, all sound")


def _gateway(workspace: Workspace) -> Iterator[Finding]:
    from mainspring._entrypoints.cli.endpoints import routes

    table, address = routes(workspace.folder)
    if address is not None:
        yield Finding("ok", "gateway", f"answers at {address}, endpoints: {len(table.routes)}")
    elif table.routes:
        yield Finding(
            "warning",
            "gateway",
            f"not running, and deployed are: {', '.join(table.routes)}",
            "Start it with 'mainspring gateway'.",
        )
    else:
        yield Finding("info", "gateway", "not running; nothing is deployed")
