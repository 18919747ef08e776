"""The rows of a project as models see them: one feature build, read by what was known when."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import numpy as np

from mainspring.core.events import Ref, ref
from mainspring.core.time import to_micros
from mainspring.features.records import FeatureBuild
from mainspring.ports.tables import Frame, Tables
from mainspring.training.table import TrainingTable

_FIXED: Final = ("row_key", "event_time", "prediction_time", "label", "label_known_at")


@dataclass(frozen=True, slots=True)
class FeatureRows:
    """The rows of one feature build."""

    tables: Tables
    build: FeatureBuild

    @property
    def ref(self) -> Ref:
        """The build, for lineage."""
        return ref("features", self.build.name)

    @property
    def digest(self) -> str:
        """The digest of the features' definition."""
        return self.build.recipe

    @property
    def timed(self) -> bool:
        """Whether rows have a time, and so an order."""
        return bool(self._first("SELECT count(prediction_time) > 0 AS x FROM built"))

    def known_by(self, until: datetime | None, *, since: datetime | None = None) -> TrainingTable:
        """Rows whose label was known by a moment, in the order of their prediction."""
        where, values = ["label IS NOT NULL"], {}
        if until is not None:
            where.append("(label_known_at IS NULL OR label_known_at <= $until)")
            where.append("(prediction_time IS NULL OR prediction_time < $until)")
            values["until"] = until
        if since is not None:
            where.append("prediction_time >= $since")
            values["since"] = since
        return self._table(" AND ".join(where), values)

    def predicted_between(self, start: datetime, end: datetime) -> TrainingTable:
        """Rows predicted in [start, end), with their labels (NaN where there is none)."""
        where = "prediction_time >= $start AND prediction_time < $end"
        return self._table(where, {"start": start, "end": end})

    def outcomes_between(
        self, since: datetime, until: datetime, *, predicted_from: datetime
    ) -> Frame:
        """Outcomes that became known in (since, until], of rows predicted from a moment on.

        ``moment`` is when each became known, never before its prediction; rows are in its order.
        """
        found = self.tables.query(
            "SELECT * FROM (SELECT row_key AS prediction_id, CAST(label AS DOUBLE) AS outcome, "
            "label_known_at AS known_at, greatest(label_known_at, prediction_time) AS moment "
            "FROM built WHERE label IS NOT NULL AND prediction_time >= $begin) "
            "WHERE moment > $since AND moment <= $until ORDER BY moment, prediction_id",
            {"built": self.build.relation},
            {"since": since, "until": until, "begin": predicted_from},
        )
        return dict(found)

    def last_day(self) -> datetime:
        """The midnight before the newest prediction."""
        newest = self._first("SELECT epoch_us(max(prediction_time)) AS x FROM built")
        moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=int(newest))
        return moment.replace(hour=0, minute=0, second=0, microsecond=0)

    def _first(self, sql: str) -> Any:
        return self.tables.query(sql, {"built": self.build.relation})["x"][0]

    def _table(self, where: str, values: dict[str, datetime]) -> TrainingTable:
        frame = dict(
            self.tables.query(
                f"SELECT * FROM built WHERE {where} ORDER BY prediction_time, row_key",
                {"built": self.build.relation},
                values,
            )
        )
        names = {column.name for column in self.build.columns}
        times, known = frame["prediction_time"], frame["label_known_at"]
        timed = bool(len(times)) and not np.isnat(times.astype("datetime64[us]")).any()
        return TrainingTable(
            inputs={column.name: frame[column.name] for column in self.build.columns},
            target=frame["label"].astype(np.float64),
            keys=frame["row_key"],
            predicted_at=times.astype("datetime64[us]") if timed else None,
            known_at=known.astype("datetime64[us]") if timed else None,
            groups={
                name.removeprefix("group_"): values
                for name, values in frame.items()
                if name.startswith("group_") and name not in names
            },
            categorical=frozenset(self.build.definition.categories),
        )


def offset_of(begin: datetime) -> timedelta:
    """How far after midnight UTC a replay's day begins."""
    return timedelta(microseconds=to_micros(begin) % (86_400 * 1_000_000))
