"""The record's use cases: prove it, read it, walk it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from mainspring.core.events import Event, EventKind, Ref
from mainspring.governance import audit, lineage
from mainspring.governance.ports import EventLog, Head
from mainspring.ports.database import Database, Reader


@dataclass(frozen=True, slots=True)
class Record:
    """The event record of a workspace: audit log and lineage graph in one.

    Every method reads one snapshot, so a record that grows meanwhile proves as of one moment.
    """

    database: Database
    log: Callable[[Reader], EventLog]

    def verify(self, noted: Head | None = None) -> audit.AuditReport:
        """What is wrong with the chain, if anything."""
        return self.database.read(lambda db: audit.verify(self.log(db), noted))

    def newest(
        self, *, before: int | None = None, kind: EventKind | None = None, limit: int = 100
    ) -> list[Event]:
        """A page of the audit log, newest first; of one kind, when it is named."""
        return self.database.read(
            lambda db: self.log(db).newest(before=before, kind=kind, limit=limit)
        )

    def about(self, subject: Ref) -> list[Event]:
        """The events of one subject, oldest first."""
        return self.database.read(lambda db: self.log(db).of(subject, "subject", limit=10_000))

    def upstream(self, ref: Ref) -> lineage.Graph:
        """What a thing came from."""
        return self.database.read(lambda db: lineage.upstream(self.log(db), ref))

    def downstream(self, ref: Ref) -> lineage.Graph:
        """What came of a thing."""
        return self.database.read(lambda db: lineage.downstream(self.log(db), ref))
