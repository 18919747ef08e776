"""No feature ever sees the future, loses a row, or differs from a count by hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mainspring.core.schema import Column, Schema
from mainspring.data import Dataset
from mainspring.features import (
    count,
    feature_set,
    highest,
    latest,
    lowest,
    mean,
    pending,
    point_in_time,
    rolling,
    share,
    total,
    windows,
)
from mainspring.features.request import Request, Side
from mainspring.problem.types import Problem
from mainspring.testing import memory_ports

MINUTES = 30  # the world lasts half an hour, so moments often tie
BEFORE = 5  # minutes from T to the row's event time
START = datetime(2024, 1, 1, tzinfo=UTC)
PLACES = ["A", "A", "A", "B", None]  # one place has most of the facts

ROWS = Schema((Column("id", "integer"), Column("place", "string"), Column("leaves", "timestamp")))
FACTS = Schema(
    (
        Column("key", "integer"),
        Column("site", "string"),
        Column("seen", "timestamp"),
        Column("told", "timestamp"),
        Column("ended", "timestamp"),
        Column("value", "integer"),
    )
)
PROBLEM = Problem(
    objective="o", questions=("q",), task="regression", dataset="rows", target="id",
    predict_before=f"{BEFORE}m",
)  # fmt: skip
REQUEST = Request(
    PROBLEM,
    Side("rows", Dataset(source="s", key=("id",), time="leaves", known_ahead=("place",)), ROWS),
    {
        "facts": Side(
            "facts", Dataset(source="s", key=("key",), time="seen", known_at="told"), FACTS
        )
    },
)
KEYS = {"place": "site"}
DEFINITION = feature_set(
    rolling(
        "r",
        dataset="facts",
        keys=KEYS,
        measures={
            "mean": mean("value"), "sum": total("value"), "n": count(), "big": share("value > 2"),
            "max": highest("value"), "min": lowest("value", where="value > 0"),
        },
        windows=["3m", "20m"],
        before_prediction="1m",
    ),
    rolling("all", dataset="facts", keys=[], measures={"n": count("value > 0")}, windows=["10m"]),
    latest("l", dataset="facts", keys=KEYS, columns={"l_value": "value", "l_key": "key"}, max_age="15m"),
    latest("e", dataset="facts", keys=KEYS, columns={"e_key": "key"}, before_event="8m"),
    pending(
        "p", dataset="facts", keys=KEYS, since="seen", until="ended", measures=["count", "minutes"]
    ),
)  # fmt: skip

minute = st.integers(0, MINUTES)
place = st.sampled_from(PLACES)
rows_strategy = st.lists(st.tuples(place, minute), min_size=1, max_size=6)
fact = st.fixed_dictionaries(
    {
        "site": place,
        "seen": minute,
        "told": st.none() | minute,
        "ended": st.none() | minute,
        "value": st.none() | st.integers(-3, 5),
    }
)
facts_strategy = st.lists(fact, max_size=14) | st.lists(fact, min_size=8, max_size=20)


@pytest.fixture(scope="module")
def tables():
    with memory_ports() as ports:
        yield ports.tables


def moments(values):
    texts = [
        "NaT" if value is None else (START + timedelta(minutes=value)).replace(tzinfo=None)
        for value in values
    ]
    return np.array(texts, dtype="datetime64[us]")


def texts(values):
    return np.array(values, dtype=object)


def numbers(values):
    return np.array([np.nan if value is None else value for value in values], dtype=float)


def built(tables, rows, facts):
    """Features by row number; every value as its bytes, so a bit counts."""
    rows_frame = {
        "id": np.arange(len(rows)),
        "place": texts([one[0] for one in rows]),
        "leaves": moments([one[1] + BEFORE for one in rows]),
    }
    facts_frame = {
        "key": np.array([one.get("key", index) for index, one in enumerate(facts)], dtype=np.int64),
        "site": texts([one["site"] for one in facts]),
        "seen": moments([one["seen"] for one in facts]),
        "told": moments([one["told"] for one in facts]),
        "ended": moments([one["ended"] for one in facts]),
        "value": numbers([one["value"] for one in facts]),
    }
    relations = {"rows": rows_frame, "all_rows": rows_frame, "facts_facts": facts_frame}
    plan = point_in_time.compiled(DEFINITION, REQUEST)
    relations["windowed"] = windows.added_up(tables, plan, relations)
    found = tables.query(plan.sql, relations)
    names = [column.name for column in plan.columns]
    return {
        int(key): {name: found[name][index].tobytes() for name in names}
        for index, key in enumerate(found["row_key"])
    }


def by_hand(row, facts):
    """The features of one row by plain loops over what was known at its T."""
    where, now = row
    here = [one for one in facts if one["site"] == where and where is not None]
    known = [one for one in here if one["told"] is not None and one["told"] <= now]
    made = {}
    for window in (3, 20):
        inside = [one["value"] for one in known if now - 1 - window < one["told"] <= now - 1]
        values = [value for value in inside if value is not None]
        positive = [value for value in values if value > 0]
        made |= {
            f"r_mean_{window}m": sum(v * 1000 for v in values) / (len(values) * 1000)
            if values
            else None,
            f"r_sum_{window}m": float(sum(values)),
            f"r_n_{window}m": float(len(inside)),
            f"r_big_{window}m": sum(v > 2 for v in values) / len(values) if values else None,
            f"r_max_{window}m": max(values, default=None),
            f"r_min_{window}m": min(positive, default=None),
        }
    told = [one for one in facts if one["told"] is not None and now - 10 < one["told"] <= now]
    made["all_n_10m"] = float(sum((one["value"] or 0) > 0 for one in told))
    newest = max(
        (one for one in known if one["seen"] <= now),
        key=lambda one: (one["seen"], one["told"], one["tie"]),
        default=None,
    )
    fresh = newest is not None and now - newest["seen"] <= 15
    made["l_value"] = newest["value"] if fresh else None
    made["l_key"] = newest["key"] if fresh else None
    older = [one for one in known if one["seen"] <= now + BEFORE - 8]
    newest = max(older, key=lambda one: (one["seen"], one["told"], one["tie"]), default=None)
    made["e_key"] = newest["key"] if newest else None
    waiting = [
        one for one in here
        if one["seen"] <= now and (one["ended"] is None or one["ended"] > max(now, one["seen"]))
    ]  # fmt: skip
    made["p_count"] = float(len(waiting))
    made["p_minutes"] = float(sum(now - one["seen"] for one in waiting))
    if where is None:
        made = {name: value if name == "all_n_10m" else None for name, value in made.items()}
    return {
        name: np.float64(np.nan if value is None else value).tobytes()
        for name, value in made.items()
    }


def tied(facts):
    """The facts with a key and the word that breaks ties: the whole fact as text, key first."""
    return [{**one, "key": index + 10, "tie": str(index + 10)} for index, one in enumerate(facts)]


@settings(max_examples=60)
@given(rows=rows_strategy, facts=facts_strategy)
def test_features_are_what_a_count_by_hand_gives(tables, rows, facts):
    """Every view, to the bit; one row out for each row in, whatever the facts hold."""
    facts = tied(facts)
    found = built(tables, rows, facts)
    assert sorted(found) == list(range(len(rows)))
    for index, row in enumerate(rows):
        assert found[index] == by_hand(row, facts)


@settings(max_examples=60)
@given(rows=rows_strategy, facts=facts_strategy, later=facts_strategy, data=st.data())
def test_the_future_changes_no_bit(tables, rows, facts, later, data):
    """Facts known after T are deleted, moved and added: the row's features stay as they were."""
    facts = tied(facts)
    index = data.draw(st.integers(0, len(rows) - 1))
    now = rows[index][1]
    after = st.integers(now + 1, MINUTES * 2)
    changed = []
    for one in facts:
        # What was not told by T may be anything. What began by T is pending: that it ended later
        # is of the future too, but that it began is not.
        if one["told"] is not None and one["told"] <= now:
            ended = one["ended"]
            if ended is None or ended > now:
                ended = data.draw(st.none() | after)
            changed.append({**one, "ended": ended})
        elif one["seen"] > now:
            if data.draw(st.booleans()):
                changed.append(
                    {
                        **one,
                        "seen": data.draw(after),
                        "told": data.draw(st.none() | after),
                        "value": data.draw(st.none() | st.integers(-9, 9)),
                    }
                )
        else:
            changed.append(
                {
                    **one,
                    "told": data.draw(st.none() | after),
                    "value": data.draw(st.none() | st.integers(-9, 9)),
                }
            )
    extra = [
        {
            **one,
            "seen": data.draw(after),
            "told": data.draw(st.none() | after),
            "key": 1000 + number,
        }
        for number, one in enumerate(later)
    ]
    before, afterwards = built(tables, rows, facts), built(tables, rows, changed + extra)
    assert afterwards[index] == before[index]


@settings(max_examples=25)
@given(rows=rows_strategy, facts=facts_strategy, seed=st.randoms(use_true_random=False))
def test_the_order_of_the_facts_changes_no_bit(tables, rows, facts, seed):
    """Facts in any order give the same features: ties are broken by what they hold."""
    facts = tied(facts)
    shuffled = facts[:]
    seed.shuffle(shuffled)
    assert built(tables, rows, shuffled) == built(tables, rows, facts)
