"""Delta's log: which version, which files, which tokens.

Settings of our tables: a checkpoint every ten commits keeps the cost of an append flat (measured:
8 to 13 ms over 220 appends against 9 to 51); expired log files stay, as every version must remain
readable until it is vacuumed. Source: Delta transaction log protocol; "Transaction Identifiers"
for exactly-once, with the hash of our token as application id.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any, Final

from deltalake import CommitProperties, DeltaTable, Transaction
from deltalake.exceptions import DeltaError, TableNotFoundError

from mainspring._adapters.delta import trouble
from mainspring._adapters.delta.types import column_type
from mainspring.core.errors import Broken, Invalid
from mainspring.core.schema import Column, Schema
from mainspring.ports.tables import Commit

SETTINGS: Final = {"delta.checkpointInterval": "10", "delta.enableExpiredLogCleanup": "false"}
TOKEN: Final = "mainspring.token"  # noqa: S105 - the key in a commit, not a secret
_MOMENT: Final = re.compile(r"\bTIMESTAMP(?:TZ)?\s+('(?:[^']|'')*')", re.IGNORECASE)
_UNREADABLE: Final = frozenset({"deletionVectors", "columnMapping"})


def open_table(path: Path, name: str, version: int | None = None) -> DeltaTable:
    """The table at a version, once it is known that its files alone tell its rows.

    Errors: ``tables.not_found``, ``tables.version_gone``, ``tables.unsupported``.
    """
    try:
        table = DeltaTable(str(path), version=version)
    except TableNotFoundError:
        raise trouble.not_found(name) from None
    except DeltaError as error:
        if version is not None:
            raise trouble.version_gone(name, version) from error
        raise _torn(name, error) from error
    features = {*(table.protocol().reader_features or ())} & _UNREADABLE
    settings = table.metadata().configuration
    if settings.get("delta.columnMapping.mode", "none") != "none":
        features.add("columnMapping")
    if features or table.metadata().partition_columns:
        raise Invalid(
            "tables.unsupported",
            f"Table {name!r} was written with {', '.join(sorted(features)) or 'partitions'}.",
            hint="Rewrite it without, with the engine that wrote it.",
            table=name,
        )
    return table


def _torn(name: str, error: Exception) -> Broken:
    return Broken(
        "tables.corrupt",
        f"The log of table {name!r} cannot be read.",
        hint="Restore the table's folder from a backup.",
        table=name,
        engine_error=str(error)[:500],
    )


def schema_of(table: DeltaTable) -> Schema:
    """The table's columns."""
    fields = table.schema().fields
    return Schema(
        tuple(
            Column(field.name, column_type(field.name, _type_name(field.type)), field.nullable)
            for field in fields
        )
    )


def _type_name(type_: Any) -> str:
    return str(getattr(type_, "type", type_))


def files_of(table: DeltaTable, name: str, *, past: bool) -> list[str]:
    """The version's files; of a past version only when they are all still there.

    Errors: ``tables.version_gone``.
    """
    files = table.file_uris()
    if past and not all(Path(file).exists() for file in files):
        raise trouble.version_gone(name, table.version())
    return files


def application(token: str) -> str:
    """A token as the application id of a Delta transaction identifier."""
    return "mainspring:" + hashlib.sha256(token.encode()).hexdigest()[:32]


def properties(token: str | None, next_version: int) -> CommitProperties:
    """What a commit says about itself; its version at least, since others may come first."""
    if token is None:
        return CommitProperties()
    return CommitProperties(
        custom_metadata={TOKEN: token},
        app_transactions=[Transaction(application(token), next_version)],
    )


def version_of(table: DeltaTable, token: str) -> int | None:
    """The version that a token wrote, or None when the table has not seen it."""
    at_least = table.transaction_version(application(token))
    if at_least is None:
        return None
    newest: int = table.version()
    for entry in reversed(table.history(limit=newest - at_least + 1)):
        if entry.get(TOKEN) == token:
            return int(entry["version"])
    return at_least  # its log entry is gone; no later version can carry it


def history(table: DeltaTable) -> list[Commit]:
    """Every version still known, oldest first."""
    return [_commit(entry) for entry in sorted(table.history(), key=lambda e: int(e["version"]))]


def _commit(entry: dict[str, Any]) -> Commit:
    metrics = entry.get("operationMetrics") or {}
    added = metrics.get("num_added_rows")
    return Commit(
        version=int(entry["version"]),
        time_micros=int(entry.get("timestamp", 0)) * 1000,
        operation=str(entry.get("operation", "unknown")).lower(),
        rows=None if added is None else int(added),
        token=entry.get(TOKEN),
    )


def condition(sql: str) -> str:
    """A condition as delta-rs understands it: it compares moments with plain texts only."""
    return _MOMENT.sub(r"\1", sql)


def vacuum(path: Path, name: str, keep: frozenset[int], *, orphan_hours: int) -> int:
    """Removes what neither the newest version nor those to keep need; how many files.

    Files that no version knows are left by writers that died, or belong to one at work: they go
    once they are older than any write takes.
    """
    newest = open_table(path, name)
    versions = sorted({version for version in keep if version <= newest.version()})
    needed = {*newest.file_uris()}
    for version in versions:
        needed.update(open_table(path, name, version).file_uris())
    candidates: set[str] = set()
    for hours, everything in ((0, False), (orphan_hours, True)):
        candidates.update(
            newest.vacuum(
                hours,
                dry_run=True,
                enforce_retention_duration=False,
                full=everything,
                keep_versions=versions,
            )
        )
    removed = 0
    for candidate in candidates:
        file = path / candidate
        if str(file) not in needed and file.suffix == ".parquet" and file.exists():
            file.unlink()
            removed += 1
    return removed
