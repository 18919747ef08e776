"""Watching an endpoint outside a replay: records in, outcomes in, windows closed, alerts raised."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec
import numpy as np

from mainspring.core.digest import digest_of
from mainspring.core.durations import parse_duration
from mainspring.core.errors import Conflict
from mainspring.core.events import Fact, ref
from mainspring.features.records import FeatureBuild
from mainspring.features.service import FeatureViews
from mainspring.monitoring import reference
from mainspring.monitoring.ports import Alert
from mainspring.monitoring.service import Watch, Watched
from mainspring.monitoring.windows import Window
from mainspring.ports.clock import Clock
from mainspring.ports.tables import Frame, Relation, TableVersion
from mainspring.projects import events
from mainspring.projects.file import LoadedProject
from mainspring.projects.opening import Progress
from mainspring.projects.packaging import REFERENCE_FILE
from mainspring.projects.production import Production
from mainspring.serving.outcomes import outcome_table
from mainspring.serving.shipping import prediction_table

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Watching(msgspec.Struct, frozen=True, kw_only=True):
    """What one pass of watching found.

    ``shipped`` and ``outcomes`` count what is new. ``learned_from`` counts labelled rows that were
    left out because the version that predicted them had learned from them: on those it looks
    better than it is. ``remeasured`` are closed windows of which labels came late. ``open_until`` is when the window under way will close.
    """

    endpoint: str
    shipped: int
    outcomes: int
    learned_from: int
    windows: tuple[Window, ...]
    remeasured: tuple[Window, ...]
    alerts: tuple[Alert, ...]
    raised: tuple[int, ...]
    open_until: datetime


@dataclass(frozen=True, slots=True)
class Watcher:
    """The watching of one project's endpoint. A pass that was cut off is completed by the next."""

    project: LoadedProject
    production: Production
    watch: Watch
    features: FeatureViews
    clock: Clock
    progress: Progress

    def run(self, labels: FeatureBuild, *, until_now: bool = False) -> Watching:
        """One pass. ``until_now`` also closes the window that is under way, as it stands.

        ``labels`` is the newest build of the features: its labels are the outcomes.
        Errors: ``projects.nothing_served``.
        """
        shipped = self._ship()
        if not self.production.tables.exists(self._predictions):
            raise Conflict(
                "projects.nothing_served",
                f"The endpoint {self.production.endpoint!r} has answered no request yet.",
                hint="Start 'mainspring gateway' and ask it; then there is something to watch.",
                endpoint=self.production.endpoint,
            )
        outcomes, learned_from = self._outcomes(labels)
        before = {alert.id for alert in self._alerts()}
        bounds = list(self._due(until_now=until_now))
        # Before the new ones: what came late may have been wrong for longer than they tell.
        again = [self._measure_again(window) for window in self._late()]
        windows = [self._close(start, end) for start, end in bounds]
        alerts = self._alerts()
        return Watching(
            endpoint=self.production.endpoint,
            shipped=shipped,
            outcomes=outcomes,
            learned_from=learned_from,
            windows=tuple(windows),
            remeasured=tuple(again),
            alerts=tuple(alerts),
            raised=tuple(alert.id for alert in alerts if alert.id not in before),
            open_until=self._open_until(),
        )

    @property
    def _predictions(self) -> str:
        return prediction_table(self.production.endpoint)

    def _alerts(self) -> list[Alert]:
        return self.watch.alerts(self.production.endpoint, open_only=True)

    # -- records and outcomes -------------------------------------------------------------------

    def _ship(self) -> int:
        production = self.production
        rows = production.gateway.ship()
        if rows:
            self.progress(f"shipped {rows:,} records")
            version = production.tables.version(self._predictions)
            fact = Fact(
                kind=events.SHIPPED,
                subject=ref("endpoint", production.endpoint),
                facts={"rows": rows},
                used=(ref("model", f"{production.model}/{production.champion()}"),),
                generated=(ref("predictions", f"{production.endpoint}@{version}"),),
            )
            production.database.write(lambda tx: tx.announce(fact))
        return rows

    def _outcomes(self, build: FeatureBuild) -> tuple[int, int]:
        """New labels of rows that were predicted under their key; how many, and how many not."""
        found, learned_from = self._labels(build), 0
        learned = np.zeros(len(found["prediction_id"]), dtype=np.bool_)
        for version in {int(one) for one in found["version"]}:
            mine = found["version"].astype(np.int64) == version
            learned |= mine & self._learned(version, found)
        fresh = {name: values[~learned] for name, values in found.items() if name != "version"}
        learned_from = int(learned.sum())
        count = len(fresh["prediction_id"])
        if count:
            self.progress(f"received {count:,} outcomes")
            token = digest_of([build.name, fresh["prediction_id"].tolist()])
            self.watch.receive_outcomes(self.production.endpoint, fresh, token=token)
            self._announce(build, count)
        return count, learned_from

    def _labels(self, build: FeatureBuild) -> dict[str, Any]:
        """Labels of predicted rows that are not received yet, with the version that answered."""
        relations: dict[str, Relation] = {
            "built": build.relation,
            "predictions": TableVersion(self._predictions),
        }
        table, seen = outcome_table(self.production.endpoint), ""
        if self.production.tables.exists(table):
            relations["outcomes"] = TableVersion(table)
            # A label that was corrected since is an outcome once more.
            seen = (
                " AND NOT EXISTS (SELECT 1 FROM outcomes o WHERE o.prediction_id = b.row_key "
                "AND o.outcome = CAST(b.label AS DOUBLE))"
            )
        # Rows without a time: their label is known since the data that holds it came in.
        return dict(
            self.production.tables.query(
                "SELECT b.row_key AS prediction_id, CAST(b.label AS DOUBLE) AS outcome, "
                "coalesce(b.label_known_at, make_timestamptz($came)) AS known_at, p.version "
                "FROM built b JOIN (SELECT prediction_id, any_value(version) AS version "
                "FROM predictions WHERE role NOT IN ('shadow', 'reference') GROUP BY prediction_id) p "
                "ON p.prediction_id = b.row_key WHERE b.label IS NOT NULL "
                f"AND coalesce(b.label_known_at, make_timestamptz($came)) <= $now{seen} "
                "ORDER BY prediction_id",
                relations,
                {"came": _micros(build.created), "now": self.clock.now()},
            )
        )

    def _learned(self, version: int, found: Frame) -> Any:
        """Which of these rows a version was fitted on."""
        manifest = self.production.manifest(version)
        names = [one.partition(":")[2] for one in manifest.used if one.startswith("features:")]
        builds = [
            self.features.show(n.rpartition("@")[0], int(n.rpartition("@")[2])) for n in names
        ]
        until = manifest.trained_until
        keys: set[str] = set()
        for build in builds:
            rows = self.production.tables.query(
                "SELECT row_key FROM built WHERE label IS NOT NULL AND (label_known_at IS NULL "
                "OR (label_known_at <= $until AND prediction_time < $until))",
                {"built": build.relation},
                {"until": datetime.fromisoformat(until) if until else self.clock.now()},
            )
            keys |= set(rows["row_key"].tolist())
        return np.array([key in keys for key in found["prediction_id"].tolist()], dtype=np.bool_)

    def _announce(self, build: FeatureBuild, rows: int) -> None:
        endpoint = self.production.endpoint
        version = self.production.tables.version(outcome_table(endpoint))
        fact = Fact(
            kind=events.OUTCOMES,
            subject=ref("endpoint", endpoint),
            facts={"rows": rows},
            used=(ref("features", build.name),),
            generated=(ref("outcomes", f"{endpoint}@{version}"),),
        )
        self.production.database.write(lambda tx: tx.announce(fact))

    # -- windows --------------------------------------------------------------------------------

    def _due(self, *, until_now: bool) -> Iterator[tuple[datetime, datetime]]:
        """The windows that are over and not measured yet, oldest first.

        They follow each other from the midnight before the first prediction. Empty ones count
        only for a monitor of the volume.
        """
        spec, now = self.project.spec.monitoring, self.clock.now()
        length = parse_duration(spec.window)
        start = self._next_start()
        over = (now - start) // length
        full = self._windows_with_rows(start, length)
        if any(monitor.watch == "volume" for monitor in spec.monitors.values()):
            full |= set(range(over))
        for number in sorted(full):
            if number < over:
                yield start + number * length, start + (number + 1) * length
        if until_now and over in full:
            yield start + over * length, now

    def _windows_with_rows(self, start: datetime, length: timedelta) -> set[int]:
        """The numbers of the windows, from ``start`` on, that hold a prediction."""
        found = self.production.tables.query(
            "SELECT DISTINCT (epoch_us(event_time) - $start) // $length AS number FROM p "
            "WHERE epoch_us(event_time) >= $start",
            {"p": TableVersion(self._predictions)},
            {"start": _micros(start), "length": length // timedelta(microseconds=1)},
        )
        return {int(number) for number in found["number"]}

    def _next_start(self) -> datetime:
        known = self.watch.windows(self.production.endpoint, limit=1_000_000)
        if known:
            return known[-1].end
        found = self.production.tables.query(
            "SELECT epoch_us(min(event_time)) AS first FROM p",
            {"p": TableVersion(self._predictions)},
        )
        first = _EPOCH + timedelta(microseconds=int(found["first"][0]))
        return first.replace(hour=0, minute=0, second=0, microsecond=0)

    def _open_until(self) -> datetime:
        length, now = parse_duration(self.project.spec.monitoring.window), self.clock.now()
        start = self._next_start()
        return start + length * (1 + max(0, (now - start) // length))

    def _close(self, start: datetime, end: datetime) -> Window:
        spec = self.project.spec
        self.progress(f"measuring {start:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} UTC")
        window, _ = self.watch.close_window(
            self.production.endpoint,
            start,
            end,
            watched=self._watched(start, end),
            spec=spec.monitoring,
            problem=spec.problem,
        )
        return window

    def _late(self) -> list[Window]:
        return self.watch.late(self.production.endpoint)

    def _measure_again(self, window: Window) -> Window:
        spec = self.project.spec
        self.progress(f"measuring {window.start:%Y-%m-%d %H:%M} again")
        return self.watch.measure_again(
            window,
            watched=self._watched(window.start, window.end, then=True),
            spec=spec.monitoring,
            problem=spec.problem,
        )

    def _watched(self, start: datetime, end: datetime, *, then: bool = False) -> Watched:
        """The champion as the measure; the thresholds of all versions that answered.

        ``then``: the newest version that answered, for a window that is long over.
        """
        production = self.production
        found = production.tables.query(
            "SELECT DISTINCT version FROM p WHERE event_time >= $start AND event_time < $end",
            {"p": TableVersion(self._predictions)},
            {"start": start, "end": end},
        )
        answered = sorted({int(one) for one in found["version"]})
        champion = max(answered) if then else production.champion() or max(answered)
        package = production.registry.packages.open(production.model, champion)
        return Watched(
            model=production.model,
            version=champion,
            signature=package.manifest.signature,
            reference=reference.decode(package.files[REFERENCE_FILE]),
            evaluated=package.manifest.metrics,
            thresholds={str(n): production.threshold(n) for n in answered},
            by_row=self.project.spec.training.resample == "row",
        )


def _micros(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1)
