"""What is stored of a dataset: its versions and the report of how each came to be."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

from mainspring.core.digest import Digest
from mainspring.core.schema import Schema
from mainspring.data.types import Dataset
from mainspring.ports.tables import TableVersion

Verdict = Literal["held", "warned", "quarantined", "failed"]


class CheckResult(msgspec.Struct, frozen=True, kw_only=True):
    """What came of one expectation on the rows of one period.

    ``examples`` are a few failing values as text, the smallest first, so a rerun shows the same.
    """

    name: str
    severity: str
    checked: int
    failed: int
    ratio: float
    at_most: float
    verdict: Verdict
    examples: tuple[str, ...] = ()
    why: str = ""


class IngestReport(msgspec.Struct, frozen=True, kw_only=True):
    """Where the rows of a period went, and what each expectation found.

    ``rows_in`` is kept plus quarantined. ``source_rows`` and ``removed_rows`` tell of the whole
    source: what the cleaning steps dropped or merged before rows were divided into periods.
    """

    rows_in: int
    rows_kept: int
    rows_quarantined: int
    source_rows: int
    removed_rows: int
    checks: tuple[CheckResult, ...] = ()

    @property
    def failed(self) -> tuple[CheckResult, ...]:
        """The checks that stop an ingestion."""
        return tuple(check for check in self.checks if check.verdict == "failed")


class DatasetVersion(msgspec.Struct, frozen=True, kw_only=True):
    """A dataset at one version: what it holds and what it was made of.

    ``version`` counts from one. ``digest`` is over the content of all periods, so two workspaces
    that hold the same rows agree on it, in whatever order the periods were ingested.
    ``table`` and ``table_version`` say where the rows are; a change of columns starts a new table.
    """

    dataset: str
    version: int
    table: str
    table_version: int
    period: str
    rows: int
    digest: Digest
    periods: dict[str, Digest]
    period_rows: dict[str, int]
    source: Digest
    spec: Dataset
    schema: Schema
    report: IngestReport
    created: datetime

    @property
    def name(self) -> str:
        """``orders@3``, as references and messages write it."""
        return f"{self.dataset}@{self.version}"

    @property
    def relation(self) -> TableVersion:
        """The rows, for queries."""
        return TableVersion(self.table, self.table_version)


class ColumnChange(msgspec.Struct, frozen=True, kw_only=True):
    """One column in two versions; a count is of rows that both versions hold."""

    column: str
    before: str | None
    after: str | None
    changed_rows: int = 0
    nulls_before: int = 0
    nulls_after: int = 0
    mean_before: float | None = None
    mean_after: float | None = None


class DatasetDiff(msgspec.Struct, frozen=True, kw_only=True):
    """How the second version differs from the first, row by row along the key."""

    dataset: str
    before: int
    after: int
    rows_before: int
    rows_after: int
    added: int
    removed: int
    changed: int
    unchanged: int
    columns: tuple[ColumnChange, ...]
    examples: dict[str, tuple[str, ...]] = {}
