"""One ingestion: staged rows, judged by their expectations, become versions period by period."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mainspring.core.digest import Digest, digest_of
from mainspring.core.errors import Conflict, Invalid, NotFound
from mainspring.core.events import Fact, ref
from mainspring.data import expectations, periods, staging
from mainspring.data.cleaning import FLAWS, PERIOD
from mainspring.data.events import INGESTED, REFUSED
from mainspring.data.explain import explained
from mainspring.data.ports import DatasetStore
from mainspring.data.sql import literal, names
from mainspring.data.staging import Staged
from mainspring.data.types import Dataset, Source
from mainspring.data.versions import CheckResult, DatasetVersion, IngestReport
from mainspring.ports.clock import Clock
from mainspring.ports.database import Database, Transaction
from mainspring.ports.tables import Tables


@dataclass(frozen=True, slots=True)
class Judged:
    """The rows of one period, counted, judged and digested, before anything is written."""

    period: str
    report: IngestReport
    digest: Digest


@dataclass(frozen=True, slots=True)
class Ingestion:
    """One dataset on its way from its sources into versions."""

    database: Database
    tables: Tables
    store: DatasetStore
    clock: Clock
    dataset: str
    spec: Dataset

    def run(
        self, sources: Mapping[str, Source], folder: Path, only: Sequence[str] | None
    ) -> list[DatasetVersion]:
        """The versions that were made, oldest first; none when all of it is stored already.

        Every period is judged before the first is written.
        """
        staged = self.staged(sources, folder)
        wanted = self._wanted(staged, only)
        judged = self.judged(staged, wanted)
        for one in judged:
            self._refuse(one)
        made = (self._write(staged, one) for one in judged)
        return [version for version in made if version is not None]

    def staged(self, sources: Mapping[str, Source], folder: Path) -> Staged:
        """The staged copy; the one of an earlier source or recipe is dropped."""
        found = staging.find(self.dataset, self.spec, sources, folder)
        name = staging.table_name(self.dataset, self.spec, found)
        before = self.database.read(lambda db: self.store.staged(db, self.dataset))
        staged = staging.stage(self.tables, self.dataset, self.spec, found)
        if before != name:
            self.database.write(lambda tx: self.store.stage(tx, self.dataset, name))
            if before is not None and self.tables.exists(before):
                self.tables.drop(before)
        return staged

    def _wanted(self, staged: Staged, only: Sequence[str] | None) -> list[str]:
        """The periods that may hold something new: those not stored from this very source.

        Errors: ``data.no_such_period`` with the periods there are.
        """
        sql = f"SELECT DISTINCT {PERIOD} AS period FROM staged ORDER BY period"
        here = [str(one) for one in self.tables.query(sql, {"staged": staged.table})["period"]]
        missing = sorted(set(only or ()) - set(here))
        if missing:
            raise self._no_such_period(here, missing)
        versions = self.database.read(lambda db: self.store.versions(db, self.dataset))
        if not versions or versions[-1].schema != staged.schema:
            return [period for period in here if only is None or period in only]
        recipe = staging.spec_digest(self.spec)
        made = {
            version.period: version.periods[version.period]
            for version in versions
            if version.source == staged.source and staging.spec_digest(version.spec) == recipe
        }
        now = versions[-1].periods
        return [
            period
            for period in here
            if (only is None or period in only)
            and (period not in made or now.get(period) != made[period])
        ]

    def judged(self, staged: Staged, only: Sequence[str] | None) -> list[Judged]:
        """What each of these periods holds, in order of the periods; of all when None."""
        where = "true"
        if only is not None:
            where = f"{PERIOD} IN ({', '.join(map(literal, only)) or 'NULL'})"
        sql = expectations.summary_query(staged.checks, staged.schema, where)
        with explained(self.dataset, self.spec):
            found = self.tables.query(sql, {"staged": staged.table})
        return [
            self._judge(
                staged, str(period), {name: column[index] for name, column in found.items()}
            )
            for index, period in enumerate(found["period"])
        ]

    def _judge(self, staged: Staged, period: str, row: Mapping[str, object]) -> Judged:
        rows_in, rows_kept = _count(row["rows_in"]), _count(row["rows_kept"])
        checks = [
            expectations.judge(
                check, rows_in, failed, self._examples(staged, check, period, failed)
            )
            for check in staged.checks
            for failed in [_count(row[f"bad_{check.bit}"])]
        ]
        counts = [one for one in self.spec.expect if one.check == "row_count"]
        counts = [] if period == periods.NONE else counts  # rows without a time are no period
        checks += [expectations.judge_count(one, rows_in) for one in counts]
        report = IngestReport(
            rows_in=rows_in,
            rows_kept=rows_kept,
            rows_quarantined=rows_in - rows_kept,
            source_rows=staged.source_rows,
            removed_rows=staged.removed_rows,
            checks=tuple(checks),
        )
        content = [rows_kept, str(row["high"]), str(row["low"]), staged.schema]
        return Judged(period, report, digest_of(content))

    def _examples(
        self, staged: Staged, check: expectations.RowCheck, period: str, failed: int
    ) -> list[str]:
        if not failed:
            return []
        sql = expectations.examples_query(check)
        found = self.tables.query(sql, {"staged": staged.table}, {"period": period})
        return [str(example) for example in found["example"]]

    # -- writing ------------------------------------------------------------------------------

    def _write(self, staged: Staged, one: Judged) -> DatasetVersion | None:
        latest = self.database.read(lambda db: self.store.latest(db, self.dataset))
        if latest is not None and latest.schema != staged.schema:
            base, table = None, _next_table(self.dataset, latest.table)
        elif latest is not None:
            base, table = latest, latest.table
        else:
            base, table = None, f"datasets/{self.dataset}/g1"
        if base is not None and base.periods.get(one.period) == one.digest:
            return None
        with explained(self.dataset, self.spec):
            stored = self._append(staged, one, base, table)
        version = self._version(staged, one, (latest, base), (table, stored))
        self.database.write(lambda tx: self._register(tx, version, latest))
        return version

    def _append(self, staged: Staged, one: Judged, base: DatasetVersion | None, table: str) -> int:
        """Rows set aside first, then rows kept: both are found again by their tokens."""
        base_version = base.table_version if base is not None else None
        token = digest_of([table, one.period, one.digest, base_version])
        mask = expectations.quarantine_mask(staged.checks)
        inside = f"{PERIOD} = {literal(one.period)}"
        relations = {"staged": staged.table}
        columns = names(staged.schema.names)
        if one.report.rows_quarantined:
            reasons = expectations.reasons(staged.checks)
            self.tables.append_query(
                table.replace("datasets/", "quarantine/", 1),
                f"SELECT {columns}, {reasons} AS _reasons, {PERIOD}, "
                f"{literal(token)} AS _ingestion FROM staged WHERE {inside} AND {FLAWS} & {mask} <> 0",
                relations,
                token=token,
            )
        order = [name for name in (self.spec.time, *self.spec.key) if name]
        return self.tables.append_query(
            table,
            f"SELECT {columns} FROM staged WHERE {inside} AND {FLAWS} & {mask} = 0 "
            f"ORDER BY {names(dict.fromkeys(order))}",
            relations,
            token=token,
            replace_where=self._replaced(one, base),
        )

    def _replaced(self, one: Judged, base: DatasetVersion | None) -> str | None:
        if base is None or one.period not in base.periods:
            return None
        return periods.condition(self.spec, one.period)

    def _version(
        self,
        staged: Staged,
        one: Judged,
        before: tuple[DatasetVersion | None, DatasetVersion | None],
        where: tuple[str, int],
    ) -> DatasetVersion:
        latest, base = before
        digests = {**(base.periods if base else {}), one.period: one.digest}
        counts = {**(base.period_rows if base else {}), one.period: one.report.rows_kept}
        return DatasetVersion(
            dataset=self.dataset,
            version=latest.version + 1 if latest else 1,
            table=where[0],
            table_version=where[1],
            period=one.period,
            rows=sum(counts.values()),
            digest=digest_of(digests),
            periods=digests,
            period_rows=counts,
            source=staged.source,
            spec=self.spec,
            schema=staged.schema,
            report=one.report,
            created=self.clock.now(),
        )

    def _register(
        self, tx: Transaction, version: DatasetVersion, base: DatasetVersion | None
    ) -> None:
        now = self.store.latest(tx, self.dataset)
        if (now and now.version) != (base and base.version):
            raise Conflict(
                "data.concurrent_ingest",
                f"Another ingestion of {self.dataset!r} finished first.",
                hint="Run the command again; what is stored already is not written twice.",
                dataset=self.dataset,
            )
        self.store.add(tx, version)
        used = [ref("source", f"{self.spec.source}@{version.source[7:19]}")]
        if base is not None and base.table == version.table:
            used.append(ref("dataset", base.name))
        tx.announce(
            Fact(
                kind=INGESTED,
                subject=ref("ingestion", version.name),
                facts={
                    "dataset": self.dataset,
                    "version": version.version,
                    "period": version.period,
                    "rows": version.rows,
                    "rows_kept": version.report.rows_kept,
                    "rows_quarantined": version.report.rows_quarantined,
                    "digest": version.digest,
                    "source_digest": version.source,
                    "spec_digest": staging.spec_digest(self.spec),
                    "warned": [c.name for c in version.report.checks if c.verdict == "warned"],
                },
                used=tuple(used),
                generated=(ref("dataset", version.name),),
            )
        )

    # -- refusing -----------------------------------------------------------------------------

    def _refuse(self, one: Judged) -> None:
        failed = one.report.failed
        if not failed:
            return
        fact = Fact(
            kind=REFUSED,
            subject=ref("dataset", self.dataset),
            facts={
                "period": one.period,
                "rows": one.report.rows_in,
                "checks": [[check.name, check.failed, check.ratio] for check in failed],
            },
        )
        self.database.write(lambda tx: tx.announce(fact))
        raise self._failure(one, failed)

    def _failure(self, one: Judged, failed: Sequence[CheckResult]) -> Invalid:
        first = failed[0]
        where = f"the dataset {self.dataset!r}, period {one.period}"
        if first.name == f"unique({', '.join(self.spec.key)})" and first.severity == "fail":
            return Invalid(
                "data.duplicate_keys",
                f"In {where}, {first.failed:,} rows share their key with another row, such as "
                f"{', '.join(self.spec.key)} = {first.examples[0]}.",
                hint="Add a column to 'key' that tells the rows apart, or keep one row per key "
                f"with a cleaning step: deduplicate = {list(self.spec.key)}.",
                dataset=self.dataset,
                period=one.period,
                rows=first.failed,
                examples=list(first.examples),
            )
        shown = f", such as {', '.join(first.examples[:3])}" if first.examples else ""
        return Invalid(
            "data.expectation_failed",
            f"In {where}, {first.failed:,} of {first.checked:,} rows break {first.name}{shown}; "
            "nothing was written.",
            hint="Fix the source, clean it, or set the expectation's severity to 'quarantine' "
            "(sets the rows aside) or 'warn' (reports only).",
            dataset=self.dataset,
            period=one.period,
            checks=[check.name for check in failed],
            examples=list(first.examples),
        )

    def _no_such_period(self, there: Sequence[str], missing: Sequence[str]) -> NotFound:
        return NotFound(
            "data.no_such_period",
            f"The source of {self.dataset!r} holds no rows of {', '.join(missing)}.",
            hint=f"It holds {there[0]} to {there[-1]}.",
            dataset=self.dataset,
            missing=list(missing),
            periods=list(there[:100]),
        )


def _count(value: object) -> int:
    return int(value)  # type: ignore[call-overload,no-any-return]


def _next_table(dataset: str, table: str) -> str:
    """A change of columns starts a new table, so older versions stay as they are."""
    return f"datasets/{dataset}/g{int(table.rpartition('/g')[2]) + 1}"
