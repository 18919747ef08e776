"""Garbage: what was deleted goes for good, and bytes that nothing needs are freed.

First the rows of deleted runs and logged models, in small transactions; then the objects that no
row needs. A run or model stays as long as a model version (live or deleted), or for a run a live
logged model, names it; an object as long as an artifact, a step result or a model version does.
The record of events keeps the lineage of what went.

A writer stores bytes first and the row that names them later, so an object counts as needed for
some time after it was last put (``grace``). Every step may be repeated: a collection that died is
finished by the next one.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import msgspec

from mainspring.core.actor import Actor
from mainspring.core.digest import Digest
from mainspring.core.errors import Invalid, NotFound
from mainspring.core.events import Fact, ref
from mainspring.core.time import to_micros
from mainspring.governance import events
from mainspring.governance.ports import GarbageStore, Leftover
from mainspring.ports.clock import Clock
from mainspring.ports.database import Database, Transaction
from mainspring.ports.objects import Objects

GRACE: Final = timedelta(hours=1)
_AT_ONCE: Final = 100
_NO_TIME: Final = timedelta(0)
SUBJECTS: Final = {"run": "run", "model": "logged-model", "upload": "upload"}


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """What a collection removes, or removed, and what it leaves for now.

    ``kept`` counts deleted runs and models that model versions still need; ``young`` are objects
    that nothing needs but that were put within the grace.
    """

    runs: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    kept: int = 0
    objects: int = 0
    size_bytes: int = 0
    young: int = 0
    young_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Garbage:
    """Collections over one database and its objects. ``versions`` are the digests of packages."""

    database: Database
    objects: Objects
    store: GarbageStore
    clock: Clock
    versions: Callable[[], Iterable[Digest]]

    def look(self, *, grace: timedelta = GRACE, older_than: timedelta = _NO_TIME) -> Found:
        """What a collection would do now; nothing is changed.

        ``older_than`` spares what was deleted more recently.
        Errors: what reading a package's manifest raises: its files are then unknown.
        """
        _check(grace, older_than)
        leftovers, kept = self._leftovers(older_than)
        return self._sweep(grace, leftovers, kept=kept, free=False)

    def collect(
        self,
        *,
        grace: timedelta = GRACE,
        older_than: timedelta = _NO_TIME,
        actor: Actor | None = None,
    ) -> Found:
        """Removes and frees, and says what. Errors: as :meth:`look`, and then nothing was freed."""
        _check(grace, older_than)
        leftovers, kept = self._leftovers(older_than)
        gone: list[Leftover] = []
        for start in range(0, len(leftovers), _AT_ONCE):
            gone += self._purge(leftovers[start : start + _AT_ONCE], actor)
        found = self._sweep(grace, gone, kept=kept + len(leftovers) - len(gone), free=True)
        if gone or found.objects:
            facts = {"objects": found.objects, "size_bytes": found.size_bytes, "purged": len(gone)}
            subject = ref("workspace", "garbage")
            fact = Fact(kind=events.COLLECTED, subject=subject, facts=facts, actor=actor)
            self.database.write(lambda tx: tx.announce(fact))
        return found

    # -- inside ---------------------------------------------------------------------------------

    def _leftovers(self, older_than: timedelta) -> tuple[list[Leftover], int]:
        before = to_micros(self.clock.now() - older_than)
        free, kept = self.database.read(self.store.leftovers)
        return [one for one in free if one.deleted_micros <= before], kept

    def _purge(self, some: list[Leftover], actor: Actor | None) -> list[Leftover]:
        def work(tx: Transaction) -> list[Leftover]:
            still = self.store.still(tx, some)
            for one in still:
                self.store.purge(tx, one)
                subject = ref(SUBJECTS[one.kind], one.id)
                tx.announce(Fact(kind=events.PURGED, subject=subject, actor=actor))
            return still

        return self.database.write(work)

    def _sweep(
        self, grace: timedelta, leftovers: list[Leftover], *, kept: int, free: bool
    ) -> Found:
        """Counts, and with ``free`` frees, the objects that nothing needs.

        The order is what makes it safe: ages first, then what is needed, then freeing what was
        old from the start. Bytes put again in between are young, and stay.
        """
        started = time.monotonic()  # the objects' own clock, which no replay moves
        ages = {digest: self._age_seconds(digest) for digest in self.objects.list()}
        unneeded = ages.keys() - self._needed([] if free else leftovers)
        counts, sizes = Counter[bool](), Counter[bool]()
        for digest in unneeded:
            young = ages[digest] < grace.total_seconds()
            size = self._size_bytes(digest)
            if free and not young:
                waited = time.monotonic() - started
                idle = grace.total_seconds() + waited if grace else 0.0
                young = not self.objects.delete(digest, idle_seconds=idle)
            counts[young] += 1
            sizes[young] += size
        return Found(
            runs=tuple(one.id for one in leftovers if one.kind == "run"),
            models=tuple(one.id for one in leftovers if one.kind == "model"),
            kept=kept,
            objects=counts[False],
            size_bytes=sizes[False],
            young=counts[True],
            young_bytes=sizes[True],
        )

    def _needed(self, without: list[Leftover]) -> set[Digest]:
        """The objects that rows need; those of ``without`` are taken to be gone already."""
        needed = set(self.versions())
        named = self.database.read(lambda db: self.store.named(db, without))
        return needed | named

    def _age_seconds(self, digest: Digest) -> float:
        try:
            return self.objects.age_seconds(digest)
        except NotFound:  # another collection was faster
            return 0.0

    def _size_bytes(self, digest: Digest) -> int:
        try:
            return self.objects.size_bytes(digest)
        except NotFound:
            return 0


def _check(grace: timedelta, older_than: timedelta) -> None:
    if grace < _NO_TIME or older_than < _NO_TIME:
        raise Invalid("governance.bad_age", "An age below zero spares nothing.", hint="Give 1h.")
