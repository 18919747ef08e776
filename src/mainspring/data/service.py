"""Datasets: bringing sources in, and reading what came of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mainspring.core.errors import NotFound
from mainspring.core.names import check_name, did_you_mean
from mainspring.data import diff
from mainspring.data.ingest import Ingestion
from mainspring.data.ports import DatasetStore
from mainspring.data.types import Dataset, Source
from mainspring.data.versions import DatasetDiff, DatasetVersion, IngestReport
from mainspring.ports.clock import Clock
from mainspring.ports.database import Database
from mainspring.ports.tables import Frame, Tables, TableVersion


@dataclass(frozen=True, slots=True)
class Datasets:
    """The datasets of a workspace and their versions.

    Durability: rows are committed to their table first, the version and its event after, both
    found again by the same token: an ingestion that was cut off anywhere is completed by running
    it again, and nothing is stored twice.
    Concurrency: two ingestions of one dataset at once: one wins, the other raises
    ``data.concurrent_ingest``.
    """

    database: Database
    tables: Tables
    store: DatasetStore
    clock: Clock

    def ingest(
        self,
        name: str,
        spec: Dataset,
        *,
        sources: Mapping[str, Source],
        folder: Path,
        periods: Sequence[str] | None = None,
    ) -> tuple[DatasetVersion, ...]:
        """The versions made of the source as it is now, oldest first, one for each period.

        ``periods`` limits it to some periods (``"2013-04"``, ``"2013-W17"``, ``"2013-04-30"``).
        What is stored already, with the same content, is not stored again.
        Errors: ``data.*``; before the first write, or nothing of that period was written.
        """
        ingestion = self._ingestion(name, spec)
        return tuple(ingestion.run(sources, folder, periods))

    def check(
        self, name: str, spec: Dataset, *, sources: Mapping[str, Source], folder: Path
    ) -> dict[str, IngestReport]:
        """What an ingestion would find, period by period, without storing a version."""
        ingestion = self._ingestion(name, spec)
        judged = ingestion.judged(ingestion.staged(sources, folder), None)
        return {one.period: one.report for one in judged}

    def names(self) -> list[str]:
        """The datasets that have at least one version."""
        return self.database.read(self.store.datasets)

    def versions(self, name: str) -> list[DatasetVersion]:
        """Every version, oldest first; none for a dataset that was never ingested."""
        return self.database.read(lambda db: self.store.versions(db, name))

    def latest(self, name: str) -> DatasetVersion | None:
        """The newest version, or None."""
        return self.database.read(lambda db: self.store.latest(db, name))

    def show(self, name: str, version: int | None = None) -> DatasetVersion:
        """One version; the newest when none is named.

        Errors: ``data.dataset_not_found``, ``data.version_not_found``.
        """
        newest = self.latest(name)
        if newest is None:
            raise NotFound(
                "data.dataset_not_found",
                f"The dataset {name!r} has no version yet.",
                hint=f"{did_you_mean(name, self.names())} Ingest it with: "
                f"mainspring data ingest {name}",
                dataset=name,
            )
        if version is None:
            return newest
        found = self.database.read(lambda db: self.store.get(db, name, version))
        if found is None:
            raise NotFound(
                "data.version_not_found",
                f"The dataset {name!r} has no version {version}.",
                hint=f"Its newest version is {newest.version}.",
                dataset=name,
                version=version,
            )
        return found

    def diff(self, name: str, before: int, after: int) -> DatasetDiff:
        """How one version differs from another: rows by key, columns, examples."""
        return diff.between(self.tables, self.show(name, before), self.show(name, after))

    def read(
        self,
        sql: str,
        versions: Mapping[str, int | None],
        values: Mapping[str, Any] | None = None,
    ) -> Frame:
        """The rows of a query over dataset versions, each named as its dataset."""
        relations = {name: self.show(name, number).relation for name, number in versions.items()}
        return self.tables.query(sql, relations, values)

    def quarantined(self, name: str, version: int | None = None) -> Frame:
        """Every row set aside up to a version, with its ``_reasons`` and its ``_period``."""
        found = self.show(name, version)
        table = found.table.replace("datasets/", "quarantine/", 1)
        if not self.tables.exists(table):
            sql = "SELECT *, '' AS _reasons, '' AS _period FROM rows LIMIT 0"
            return self.tables.query(sql, {"rows": found.relation})
        sql = "SELECT * EXCLUDE (_ingestion) FROM aside ORDER BY _period"
        return self.tables.query(sql, {"aside": TableVersion(table)})

    def _ingestion(self, name: str, spec: Dataset) -> Ingestion:
        check_name("dataset", name)
        return Ingestion(self.database, self.tables, self.store, self.clock, name, spec)
