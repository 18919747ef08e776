"""Outcomes out of streams, files and tables into an endpoint's, each report once.

However a report comes, it ends in the tables that :mod:`mainspring.serving.outcomes` names, where
monitoring finds it. What is there already is not stored again, so an import that was cut off is
completed by running it again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from mainspring.core.digest import digest_of, sha256
from mainspring.core.errors import Invalid
from mainspring.core.names import did_you_mean
from mainspring.data.staging import describe
from mainspring.ports.clock import Clock
from mainspring.ports.tables import Relation, Tables
from mainspring.serving.outcome_reading import (
    MOST_KEY_LETTERS,
    FlawedRowError,
    Naming,
    ReportBatch,
    flawed,
)
from mainspring.serving.outcomes import Reports, count_unseen, store_outcomes, table_of

_MOMENTS: Final = ("TIMESTAMP", "DATE")


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import did so far.

    ``rows`` were read; of these ``stored`` are new, ``waiting`` have no outcome yet, and all
    others were known.
    """

    rows: int = 0
    stored: int = 0
    waiting: int = 0

    @property
    def known(self) -> int:
        return self.rows - self.stored - self.waiting


@dataclass(frozen=True, slots=True)
class OutcomeImport:
    """Takes reports in for one endpoint.

    ``stored`` is called after each write: with the table, its version, and how many rows are new.
    """

    tables: Tables
    clock: Clock
    endpoint: str
    stored: Callable[[str, int, int], None] = lambda _table, _version, _rows: None

    def stream(
        self,
        batches: Iterable[ReportBatch],
        report: Callable[[Imported], None] = lambda _imported: None,
    ) -> Imported:
        """Stores each batch as it comes.

        Errors: ``serving.bad_outcome`` with the row; the rows before it are stored.
        """
        done = Imported()
        try:
            for batch in batches:
                done = self._add(done, batch)
                report(done)
        except FlawedRowError as error:
            if error.before is not None and error.before.last >= error.before.first:
                done = self._add(done, error.before)
            error.facts["stored"] = done.stored
            raise
        return done

    def relation(self, rows: Relation, naming: Naming, *, token: str) -> Imported:
        """Stores the rows of a table or of a Parquet file, without passing them through Python.

        ``token`` stands for their content. Errors: ``serving.bad_outcome``, before anything is
        stored.
        """
        described = describe(self.tables, "SELECT * FROM reported", {"reported": rows})
        said = _Relation(rows, {one.name: one.type for one in described}, naming)
        counted = said.check(self.tables)
        told = digest_of([token, repr(naming)])
        stored = sum(self._store(one, told) for one in said.reports(self._now()))
        return Imported(counted["rows"], stored, counted["waiting"])

    def _add(self, done: Imported, batch: ReportBatch) -> Imported:
        stored = 0
        for by_entity, frame in ((False, batch.by_prediction), (True, batch.by_entity)):
            if not len(frame["key"]):
                continue
            now = np.full(len(frame["key"]), self._now().removesuffix("Z"), dtype="datetime64[us]")
            reports = Reports({**frame, "received_at": now}, key="key", by_entity=by_entity)
            stored += self._store(reports, _token(frame))
        rows = batch.last - batch.first + 1
        return Imported(done.rows + rows, done.stored + stored, done.waiting + batch.waiting)

    def _store(self, reports: Reports, token: str) -> int:
        # A table gets no version without rows: repeating an import leaves no trace.
        count = count_unseen(self.tables, self.endpoint, reports)
        if not count:
            return 0
        name = table_of(self.endpoint, reports)
        before = self.tables.version(name) if self.tables.exists(name) else -1
        version = store_outcomes(self.tables, self.endpoint, reports, token=f"import:{token}")
        if version <= before:  # somebody else has stored the same meanwhile
            return 0
        self.stored(name, version, count)
        return count

    def _now(self) -> str:
        return self.clock.now().replace(tzinfo=None).isoformat() + "Z"


class _Relation:
    """A table that reports outcomes: what is wrong with it, and the SQL of its parts."""

    def __init__(self, rows: Relation, columns: Mapping[str, str], naming: Naming) -> None:
        self._rows, self._naming = rows, naming
        self._columns = columns
        self._prediction = naming.prediction if naming.prediction in columns else None
        self._entity = naming.entity if naming.entity in columns else None
        if self._prediction is None and self._entity is None:
            raise self._lacks(naming.prediction or naming.entity or "")
        if naming.outcome not in columns:
            raise self._lacks(naming.outcome)
        self._known = self._known_at()

    def check(self, tables: Tables) -> dict[str, int]:
        """How many rows there are. Errors: ``serving.bad_outcome`` for the first flawed one."""
        outcome = _quoted(self._naming.outcome)
        number = f"TRY_CAST({outcome} AS DOUBLE)"
        keys = [self._text(one) for one in (self._prediction, self._entity) if one]
        flaws = {
            "does not name its prediction or its entity": " AND ".join(
                f"{k} IS NULL" for k in keys
            ),
            "names both a prediction and an entity": " AND ".join(f"{k} IS NOT NULL" for k in keys)
            if len(keys) > 1
            else "FALSE",
            f"has a key of more than {MOST_KEY_LETTERS} letters": " OR ".join(
                f"length({k}) > {MOST_KEY_LETTERS}" for k in keys
            ),
            f"has an {self._naming.outcome} that is no number": (
                f"{number} IS NULL OR NOT isfinite({number})"
            ),
            "does not say when its outcome was known": f"{self._known} IS NULL",
        }
        cases = " ".join(f"WHEN {sql} THEN {n}" for n, sql in enumerate(flaws.values()))
        found = tables.query(
            "SELECT count(*) AS rows, count(*) FILTER (WHERE o IS NULL) AS waiting, "
            "min(n) FILTER (WHERE o IS NOT NULL AND flaw IS NOT NULL) AS first, "
            "arg_min(flaw, n) FILTER (WHERE o IS NOT NULL AND flaw IS NOT NULL) AS flaw FROM ("
            f"SELECT row_number() OVER () AS n, {outcome} AS o, CASE {cases} END AS flaw "
            "FROM reported)",
            {"reported": self._rows},
        )
        if found["flaw"][0] == found["flaw"][0]:  # noqa: PLR0124 - NaN is not itself
            raise flawed(int(found["first"][0]), list(flaws)[int(found["flaw"][0])])
        return {"rows": int(found["rows"][0]), "waiting": int(found["waiting"][0])}

    def reports(self, now: str) -> list[Reports]:
        """The reports by prediction, and those by entity."""
        return [
            Reports(
                self._rows,
                key=self._text(name),
                outcome=_quoted(self._naming.outcome),
                known_at=self._known,
                received_at=f"'{now.removesuffix('Z')}'",
                by_entity=by_entity,
            )
            for name, by_entity in ((self._prediction, False), (self._entity, True))
            if name is not None
        ]

    def _text(self, name: str) -> str:
        return f"nullif(CAST({_quoted(name)} AS VARCHAR), '')"

    def _known_at(self) -> str:
        name, at = self._naming.known_at, self._naming.at
        default = "NULL" if at is None else f"TIMESTAMP '{at.replace(tzinfo=None).isoformat(' ')}'"
        if name not in self._columns:
            if at is None:
                raise self._lacks(name)
            return default
        if not self._columns[name].upper().startswith(_MOMENTS):
            raise Invalid(
                "serving.bad_outcome",
                f"The column {name!r} is {self._columns[name]}, and holds no moments.",
                hint="Make it a timestamp, or name another column with --known-at.",
                column=name,
            )
        return f"coalesce(CAST({_quoted(name)} AS TIMESTAMP), {default})"

    def _lacks(self, name: str) -> Invalid:
        return Invalid(
            "serving.bad_outcome",
            f"The rows have no column {name!r}.",
            hint=f"{did_you_mean(name, self._columns)} Name the column that holds it.".strip(),
            column=name,
            known=list(self._columns)[:100],
        )


def _token(frame: Mapping[str, Any]) -> str:
    """The same for the same rows, so that a batch that is sent twice at once is stored once."""
    parts = [
        "\x1f".join(frame["key"].tolist()).encode("utf-8", "surrogatepass"),
        frame["outcome"].tobytes(),
        frame["known_at"].tobytes(),
    ]
    return sha256(b"\x1e".join(parts))


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
