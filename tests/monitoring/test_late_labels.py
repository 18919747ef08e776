"""Labels that come after their window closed: measured again, judged, and both on record."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from mainspring._adapters.sql.monitoring import SqlMonitorStore
from mainspring.monitoring import live
from mainspring.monitoring.service import Watch, Watched
from mainspring.monitoring.types import Monitor, Monitoring
from mainspring.ports.tables import TableVersion
from mainspring.problem.types import Problem
from mainspring.serving.outcomes import Reports, entity_outcome_table, outcome_table, store_outcomes
from mainspring.serving.shipping import prediction_table
from mainspring.testing import memory_ports

START = datetime(2024, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
ROWS = 60
PROBLEM = Problem(objective="o", questions=("q",), task="binary", dataset="d", target="t")
WATCHED = Watched(
    model="m", version=1, signature=None, reference=None, evaluated={"auc": 0.9},
    thresholds={"1": 0.5}, by_row=True,
)  # fmt: skip
SPEC = Monitoring(
    window="1d",
    monitors={
        "fell": Monitor(watch="performance", metric="auc", at_least=0.8, min_rows=10),
        "quiet": Monitor(watch="volume", at_least=10),
    },
)


def texts(values):
    return np.array(values, dtype=object)


def moments(start, count, step=timedelta(minutes=10)):
    first = np.datetime64(start.replace(tzinfo=None), "us")
    return first + np.arange(count) * np.timedelta64(int(step.total_seconds() * 1e6), "us")


@pytest.fixture
def watch():
    with memory_ports() as ports:
        yield Watch(ports.database, ports.tables, SqlMonitorStore(), ports.clock)


def answer(watch, day, role="champion"):
    """Sixty answers of a day, scored 0 to 1 in their order."""
    times = moments(START + day * DAY, ROWS)
    columns = {
        "prediction_id": texts([f"d{day}-{n}" for n in range(ROWS)]),
        "entity": texts([f"e{n % 5}" for n in range(ROWS)]),
        "event_time": times,
        "received_at": times,
        "version": texts(["1"] * ROWS),
        "variant": texts([role] * ROWS),
        "role": texts([role] * ROWS),
        "score": np.linspace(0, 1, ROWS),
        "decision": np.zeros(ROWS),
        "latency_ms": np.ones(ROWS),
    }
    watch.tables.append(prediction_table("late"), columns)


def report(watch, day, labels, *, known, token="t"):
    rows = {
        "prediction_id": texts([f"d{day}-{n}" for n in range(len(labels))]),
        "outcome": np.array(labels, dtype=np.float64),
        "known_at": moments(known, len(labels), timedelta()),
    }
    return watch.receive_outcomes("late", rows, token=token)


def close(watch, day):
    watch.clock.set(START + (day + 1) * DAY)
    return watch.close_window(
        "late", START + day * DAY, START + (day + 1) * DAY,
        watched=WATCHED, spec=SPEC, problem=PROBLEM,
    )  # fmt: skip


def again(watch):
    return [
        watch.measure_again(one, watched=WATCHED, spec=SPEC, problem=PROBLEM)
        for one in watch.late("late")
    ]


GOOD = (np.arange(ROWS) >= ROWS / 2).astype(float)


def test_late_labels_are_measured_again_and_judged(watch):
    """The first measurement stays; the second has the labels, breaks the rule and alerts."""
    answer(watch, 0)
    first, alerts = close(watch, 0)
    assert (first.labelled, first.metrics, alerts) == (0, {}, [])
    assert watch.late("late") == []
    watch.clock.set(START + 5 * DAY)
    report(watch, 0, 1 - GOOD, known=START + 4 * DAY)
    (second,) = again(watch)
    assert (second.measurement, second.coverage, second.metrics["auc"].value) == (2, 1.0, 0.0)
    assert [one.monitor for one in watch.alerts("late", open_only=True)] == ["fell"]
    assert watch.measurements("late", START) == [first, second]
    assert watch.windows("late") == [second]
    assert again(watch) == []


def test_a_corrected_label_is_measured_again_too(watch):
    """The same number of labels with other values is not the same window."""
    answer(watch, 0)
    report(watch, 0, 1 - GOOD, known=START + DAY / 2)
    close(watch, 0)
    assert [one.monitor for one in watch.alerts("late", open_only=True)] == ["fell"]
    watch.clock.set(START + 3 * DAY)
    half = GOOD.copy()
    half[0] = 1.0
    report(watch, 0, half, known=START + 2 * DAY, token="u")
    (second,) = again(watch)
    assert second.metrics["auc"].value > 0.9
    assert watch.alerts("late", open_only=True) == []


def test_a_window_without_labels_calls_nothing_off(watch):
    """What is not judged neither opens nor closes; an older window does not overrule a newer."""
    answer(watch, 0)
    report(watch, 0, 1 - GOOD, known=START + DAY / 2)
    close(watch, 0)
    answer(watch, 1)
    _, alerts = close(watch, 1)
    assert [one.monitor for one in alerts] == ["fell"]
    watch.clock.set(START + 4 * DAY)
    report(watch, 1, 1 - GOOD, known=START + 3 * DAY, token="v")
    again(watch)
    report(watch, 0, GOOD, known=START + 3 * DAY, token="w")
    again(watch)
    assert [one.monitor for one in watch.alerts("late", open_only=True)] == ["fell"]


def test_an_outcome_is_kept_once_however_often_it_is_reported(watch):
    """The same report under another token, or twice in one, adds no row; a correction does."""
    answer(watch, 0)
    for token in ("a", "a", "b"):
        report(watch, 0, [1.0, 0.0], known=START + DAY, token=token)
    report(watch, 0, [0.0], known=START + 2 * DAY, token="c")
    rows = watch.tables.query(
        "SELECT count(*) AS n FROM o", {"o": TableVersion(outcome_table("late"))}
    )
    assert rows["n"].tolist() == [3]


def test_an_entity_stands_for_its_newest_prediction(watch):
    """The last one at or before the outcome, whichever record came first; copies do not count."""
    reports = {
        "entity": texts(["e2", "e3", "nobody"]),
        "outcome": np.array([1.0, 1.0, 1.0]),
        "known_at": moments(START + timedelta(minutes=10 * 22), 3, timedelta()),
        "received_at": moments(START + 2 * DAY, 3, timedelta()),
    }
    found = Reports(reports, key="entity", by_entity=True)
    for token in ("a", "b"):
        store_outcomes(watch.tables, "late", found, token=token)
    answer(watch, 0)
    watch.clock.set(START + 3 * DAY)
    frame = live.answered(watch.tables, "late", START, START + DAY, now=watch.clock.now())
    known = live.known(frame)
    assert frame["prediction_id"][known].tolist() == ["d0-18", "d0-22"]
    count = watch.tables.query(
        "SELECT count(*) AS n FROM o", {"o": TableVersion(entity_outcome_table("late"))}
    )
    assert count["n"].tolist() == [3]
