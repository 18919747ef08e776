"""``mainspring audit``: the record of everything, and its proof.

Each event carries the digest of the one before it. Note the head that 'verify' prints somewhere
else (a ticket, a print): given to a later 'verify --noted', it proves that nothing before it was
changed, not even by someone who can write the whole database.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mainspring._entrypoints.cli.opening import opened, recorded
from mainspring._entrypoints.cli.output import FAILED, Output
from mainspring._entrypoints.cli.parser import count, verb, verbs
from mainspring.core.errors import Conflict, Invalid, NotFound

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mainspring.governance.audit import AuditReport
    from mainspring.governance.ports import Head


def add(parser: argparse.ArgumentParser) -> None:
    """The verbs of ``audit``."""
    among = verbs(parser)
    log = verb(among, "log", run_log, "the newest events first")
    log.add_argument(
        "--kind", metavar="KIND", help="only of this kind, such as registry.alias_moved"
    )
    log.add_argument("--before", type=count, metavar="N", help="only events before this number")
    log.add_argument("--limit", type=count, default=30, metavar="N", help="most events (30)")
    check = verb(
        among,
        "verify",
        run_verify,
        "prove that no event was edited, removed, put in or moved",
        more="Exit code 1 when one was.",
    )
    check.add_argument("--noted", metavar="HEAD", help="a head noted earlier: NUMBER:sha256:...")
    check.add_argument("--file", metavar="FILE", help="an export instead of the workspace")
    export = verb(
        among, "export", run_export, "every event as JSON Lines, oldest first", as_json=False
    )
    export.add_argument("--output", "-o", metavar="FILE", help="standard output if not named")


def run_log(arguments: argparse.Namespace, output: Output) -> int:
    """Lists events."""
    from mainspring.core.events import EventKind
    from mainspring.core.names import did_you_mean

    kind = EventKind(arguments.kind) if arguments.kind else None
    with opened(arguments) as workspace:
        found = recorded(
            workspace,
            lambda log: log.newest(before=arguments.before, kind=kind, limit=arguments.limit),
        )
    known = _declared_kinds() if kind and not found else ()
    if kind and known and kind not in known:
        raise NotFound(
            "governance.unknown_kind",
            f"No event is of the kind {arguments.kind[:80]!r}.",
            hint=did_you_mean(arguments.kind[:128], known),
        )
    if output.as_json:
        output.document({"events": found})
        return 0
    for event in found:
        when = f"{event.time:%Y-%m-%d %H:%M}"
        output.line(f"{event.sequence:>7}  {when}  {event.kind}  {event.subject}")
        told = f": {_told(event.facts)}" if event.facts else ""
        output.paragraph(f"by {event.actor}{told}", indent="         ")
    if not found:
        output.note("No event yet.")
    return 0


def _declared_kinds() -> tuple[str, ...]:
    """Every kind that a stage declares."""
    import pkgutil
    from importlib import import_module, util

    import mainspring
    from mainspring.core.events import KINDS

    for stage in pkgutil.iter_modules(mainspring.__path__, "mainspring."):
        if stage.ispkg and util.find_spec(f"{stage.name}.events"):
            import_module(f"{stage.name}.events")
    return tuple(KINDS)


def _told(facts: dict[str, Any]) -> str:
    short = {k: v for k, v in facts.items() if isinstance(v, str | int | float | bool) and v != ""}
    return ", ".join(f"{key}={_brief(value)}" for key, value in short.items())


def _brief(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    text = str(value)
    return f"{text[:14]}..." if text.startswith("sha256:") else text


def run_verify(arguments: argparse.Namespace, output: Output) -> int:
    """Verifies the chain."""
    from mainspring.governance.audit import verify, verify_export

    noted = _head(arguments.noted)
    if arguments.file is not None:
        with _reading(arguments.file) as lines:
            report = verify_export(lines, noted)
    else:
        with opened(arguments) as workspace:
            report = recorded(workspace, lambda log: verify(log, noted))
    if output.as_json:
        output.document(report)
    else:
        _tell(report, output)
    return 0 if report.ok else FAILED


def _tell(report: AuditReport, output: Output) -> None:
    if report.flaw is not None:
        output.line(
            f"The record is NOT sound: event {report.flaw.sequence} {report.flaw.what}: "
            f"{report.flaw.detail}."
        )
        output.note(f"{report.events:,} events before it are sound.")
        return
    output.line(f"The record is sound: {report.events:,} events, each chained to the one before.")
    if report.head is not None:
        output.line(f"Head: {report.head.sequence}:{report.head.digest}")
        output.note("Note the head elsewhere; 'audit verify --noted HEAD' proves against it later.")


def _head(text: str | None) -> Head | None:
    from mainspring.core.digest import Digest
    from mainspring.governance.ports import Head

    if text is None:
        return None
    number, _, digest = text.partition(":")
    if not number.isdigit() or not digest.startswith("sha256:"):
        raise Invalid(
            "cli.wrong_use",
            f"--noted {text[:80]!r} is no head.",
            hint="Give it as 'audit verify' printed it: NUMBER:sha256:...",
        )
    return Head(int(number), Digest(digest))


def _reading(name: str) -> Any:
    try:
        return Path(name).open("rb")
    except FileNotFoundError:
        raise NotFound(
            "cli.no_such_file",
            f"There is no file {name!r}.",
            hint="Make one with 'mainspring audit export -o FILE'.",
        ) from None


def run_export(arguments: argparse.Namespace, output: Output) -> int:
    """Writes every event."""
    from mainspring.governance.audit import export

    if arguments.output is not None and Path(arguments.output).exists():
        raise Conflict(
            "cli.file_exists",
            f"{arguments.output!r} is there already; nothing was written.",
            hint="Name another file, or remove it.",
        )

    def write(lines: Iterator[bytes]) -> int:
        if arguments.output is None:
            return sum(1 for line in lines if sys.stdout.write(line.decode()))
        with Path(arguments.output).open("xb") as stream:
            return sum(1 for line in lines if stream.write(line))

    with opened(arguments) as workspace:
        written = recorded(workspace, lambda log: write(export(log)))
    output.note(f"{written:,} events.")
    return 0
