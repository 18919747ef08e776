"""``mainspring models history``: what was in production when, who moved it, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from mainspring._entrypoints.cli.opening import opened
from mainspring._entrypoints.cli.output import Output, cell
from mainspring._entrypoints.cli.parser import past, verb

if TYPE_CHECKING:
    import argparse
    from datetime import datetime

    from mainspring._bootstrap.workspace import Workspace
    from mainspring.registry import Address
    from mainspring.registry.types import Change, Move, Version

_VERSIONS: Final = 1_000
_OUT: Final = "None"  # the stage of a version that is in none


class Entry(msgspec.Struct, frozen=True):
    """One move of an alias, or one change of a version, as a line."""

    what: str
    move: Move | Change

    @property
    def evidence(self) -> str:
        return ", ".join(f"{key}={value}" for key, value in self.move.evidence.items())


def add(among: Any) -> None:
    """The verb ``history``."""
    history = verb(among, "history", run_history, "every move of an alias, or of a version's life")
    history.add_argument(
        "address",
        metavar="NAME@alias|NAME/VERSION|NAME",
        help="the alias, the version, or all aliases and stages of a model",
    )
    history.add_argument(
        "--at", type=past, metavar="MOMENT", help="where it pointed then (2024-05-01T12:00)"
    )


def run_history(arguments: argparse.Namespace, output: Output) -> int:
    """Shows the moves of an alias, the judgements of a version, or all of a model."""
    from mainspring.registry import parse_address

    address = parse_address(arguments.address)
    with opened(arguments, anywhere=True) as workspace:
        if arguments.at is not None and address.alias is not None:
            number = workspace.registry.aliases.live_at(address.name, address.alias, arguments.at)
            return _tell_then(output, str(address), arguments.at, number)
        entries, kind = _entries(workspace, address)
    if arguments.at is not None:
        return _tell_all_then(output, entries, address, arguments.at)
    if output.as_json:
        document: dict[str, Any] = {"moves": [], "changes": []}
        for entry in entries:
            document["moves" if hasattr(entry.move, "alias") else "changes"].append(entry.move)
        output.document(document if kind == "all" else {kind: document[kind]})
        return 0
    _table(output, entries)
    if not entries:
        never = f"{address} was never set." if kind == "moves" else None
        output.note(never or f"{address} is as it was registered.")
    return 0


def _entries(workspace: Workspace, address: Address) -> tuple[list[Entry], str]:
    """What happened, newest first, and what kind of things that are."""
    registry = workspace.registry
    if address.alias is not None:
        moves = registry.aliases.history(address.name, address.alias)
        return [Entry(move.alias, move) for move in moves], "moves"
    if address.number is not None:
        changes = registry.versions.changes(address.name, address.number)
        return [Entry(change.field, change) for change in changes], "changes"
    entries = [Entry(f"@{move.alias}", move) for move in registry.aliases.moves(address.name)]
    for version in _versions(workspace, address.name):
        changes = registry.versions.changes(address.name, version.number)
        entries += [Entry(f"{version.number} {change.field}", change) for change in changes]
    return sorted(entries, key=lambda entry: -entry.move.sequence), "all"


def _versions(workspace: Workspace, name: str) -> tuple[Version, ...]:
    from mainspring.registry import Clause, Query

    query = Query(clauses=(Clause("name", "=", name),), limit=_VERSIONS)
    return workspace.registry.versions.search(query).items


def _table(output: Output, entries: list[Entry]) -> None:
    headings = ["when (UTC)", "what", "from", "to", "who", "why", "evidence"]
    rows = [
        [e.move.time, e.what, e.move.before, e.move.after, e.move.actor, e.move.why, e.evidence]
        for e in entries
    ]
    if not any(entry.evidence for entry in entries):
        headings, rows = headings[:-1], [row[:-1] for row in rows]
    output.table(headings, rows)


def _tell_then(output: Output, alias: str, at: datetime, number: int | None) -> int:
    if output.as_json:
        output.document({"alias": alias, "at": at, "version": number})
    told = "nothing" if number is None else f"version {number}"
    output.line(f"{alias} at {cell(at)} UTC: {told}")
    return 0


def _tell_all_then(output: Output, entries: list[Entry], address: Address, at: datetime) -> int:
    """What everything pointed at in a past moment: the newest entry of each before it."""
    latest: dict[str, Entry] = {}
    for entry in entries:
        if entry.move.time <= at:
            latest.setdefault(entry.what, entry)
    then = {
        what: entry.move.after
        for what, entry in latest.items()
        if entry.move.after not in (None, _OUT)
    }
    if output.as_json:
        output.document({"name": str(address), "at": at, "then": then})
    output.table(("what", f"at {cell(at)} UTC"), list(then.items()))
    if not then:
        output.line(f"{address} at {cell(at)} UTC: nothing")
    return 0
