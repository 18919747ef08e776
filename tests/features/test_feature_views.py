"""What each kind of view gives, on facts few enough to count by hand."""

from __future__ import annotations

from feature_workshop import ASKING, at, trip

from mainspring.features import (
    count,
    derived,
    feature_set,
    highest,
    latest,
    lowest,
    mean,
    pending,
    planned,
    rolling,
    row,
    share,
    total,
)


def test_a_row_sees_its_plan_and_carries_its_label(workshop):
    """Key, moments, label and groups stand beside the features; T is event time less two hours."""
    workshop.put("trips", [ASKING, trip("open", at(13))])
    rows = workshop.features(
        feature_set(row("own", {"hour": "hour(leaves)", "line": "line"}), categories=["line"])
    )
    me = rows["me"]
    assert me["event_time"].isoformat() == "2024-01-10T12:00:00"
    assert me["prediction_time"].isoformat() == "2024-01-10T10:00:00"
    assert (me["label"], me["label_known_at"].isoformat()) == (1.0, "2024-01-10T13:00:00")
    assert (me["group_line"], me["hour"], me["line"]) == ("x", 12.0, "x")
    assert (rows["open"]["label"], rows["open"]["label_known_at"]) == (None, None)


def test_a_window_holds_what_became_known_in_it(workshop):
    """(T - window, T]: the end counts, the beginning does not, and T is a moment of knowledge."""
    workshop.put(
        "trips",
        [
            ASKING,
            trip("at T", at(9), left=at(10), late=1),
            trip("just after T", at(9), left=at(10, 1), late=1000),
            trip("inside", at(8), left=at(9), late=2),
            trip("at the beginning", at(6), left=at(7), late=500),
            trip("elsewhere", at(9), left=at(9), late=100, place="B"),
            trip("never left", at(9), late=100),
        ],
    )
    made = workshop.features(
        feature_set(
            rolling(
                "here",
                dataset="trips",
                keys=["place"],
                measures={
                    "late": mean("late"), "n": count(), "sum": total("late"),
                    "some": share("late > 1"), "max": highest("late"), "min": lowest("late"),
                    "big": count("late > 1"),
                },
                windows=["3h", "1m"],
            )
        )
    )["me"]  # fmt: skip
    assert made["here_late_3h"] == 1.5
    assert (made["here_n_3h"], made["here_sum_3h"], made["here_big_3h"]) == (2, 3, 1)
    assert (made["here_some_3h"], made["here_max_3h"], made["here_min_3h"]) == (0.5, 2, 1)
    assert (made["here_late_1m"], made["here_n_1m"], made["here_max_1m"]) == (1, 1, 1)


def test_nothing_known_is_null_and_too_little_too(workshop):
    """Means of fewer than at_least facts are null, counts are 0, a missing key gives null."""
    workshop.put(
        "trips", [ASKING, trip("x", at(8), left=at(9), late=4), trip("lost", at(12), place=None)]
    )
    view = {"dataset": "trips", "keys": ["place"], "windows": ["3h"]}
    made = workshop.features(
        feature_set(
            rolling("one", **view, measures={"late": mean("late"), "n": count()}),
            rolling("two", **view, measures={"late": mean("late")}, at_least=2),
        )
    )
    assert (made["me"]["one_late_3h"], made["me"]["two_late_3h"]) == (4, None)
    assert (made["x"]["one_late_3h"], made["x"]["one_n_3h"]) == (None, 0)
    assert (made["lost"]["one_late_3h"], made["lost"]["one_n_3h"]) == (None, None)


def test_one_dataset_can_be_known_at_several_moments(workshop):
    """The same trip counts as left and as landed, each from its own moment on."""
    workshop.put("trips", [ASKING, trip("x", at(8), left=at(9), late=4, landed=at(11))])
    view = {"dataset": "trips", "keys": ["place"], "windows": ["3h"], "measures": {"n": count()}}
    made = workshop.features(
        feature_set(rolling("left", **view), rolling("landed", **view, known_at="landed"))
    )["me"]
    assert (made["left_n_3h"], made["landed_n_3h"]) == (1, 0)


def test_the_end_of_a_window_can_be_moved_back(workshop):
    """before_event is from the row's event time, before_prediction from T; no keys is all facts."""
    workshop.put(
        "trips",
        [
            ASKING,
            trip("early", at(8), left=at(8, 30), late=4),
            trip("late", at(8), left=at(9, 30), late=8, place="B"),
        ],
    )
    view = {"dataset": "trips", "keys": [], "windows": ["1d"], "measures": {"late": total("late")}}
    made = workshop.features(
        feature_set(
            rolling("now", **view),
            rolling("event", **view, before_event="3h"),
            rolling("prediction", **view, before_prediction="30m"),
        )
    )["me"]
    assert (made["now_late_1d"], made["event_late_1d"], made["prediction_late_1d"]) == (12, 4, 12)


def test_the_latest_fact_is_the_newest_of_those_known(workshop):
    """Not the one that was told last; told after T is not known; ties go by the whole fact."""
    workshop.put("trips", [ASKING])
    workshop.put(
        "weather",
        [
            {"place": "A", "seen": at(8), "told": at(9), "wind": 8, "rank": "a"},
            {"place": "A", "seen": at(7), "told": at(9, 30), "wind": 7, "rank": "b"},
            {"place": "A", "seen": at(9), "told": at(10, 1), "wind": 9, "rank": "c"},
            {"place": "B", "seen": at(9), "told": at(9), "wind": 99, "rank": "d"},
        ],
    )
    made = workshop.features(
        feature_set(
            latest("sky", dataset="weather", keys=["place"], columns=["wind"]),
            latest(
                "old",
                dataset="weather",
                keys=["place"],
                columns={"w": "wind * 2"},
                before_event="5h",
            ),
            latest("young", dataset="weather", keys=["place"], columns={"y": "wind"}, max_age="1h"),
        )
    )["me"]
    assert (made["sky_wind"], made["w"], made["y"]) == (8, 14, None)


def test_a_table_without_time_was_always_known(workshop):
    """Reference data is joined by key; a key that is not there gives null."""
    workshop.put("trips", [ASKING, trip("b", at(12), place="B")])
    workshop.put("places", [{"code": "A", "runways": 3}])
    definition = feature_set(
        latest("place", dataset="places", keys={"place": "code"}, columns=["runways"]),
        derived("twice", {"lanes": "place_runways * 2 + size"}, drop=["place_runways"]),
    )
    made = workshop.features(definition)
    assert (made["me"]["lanes"], made["b"]["lanes"]) == (7, None)
    assert "place_runways" not in made["me"]


def test_the_plan_around_a_row_is_known(workshop):
    """Rows planned around the event time count, left or not, with both ends included."""
    workshop.put(
        "trips",
        [
            ASKING,
            trip("a", at(11), left=at(15)),
            trip("b", at(13)),
            trip("c", at(13, 1)),
            trip("d", at(10, 59)),
        ],
    )
    made = workshop.features(
        feature_set(
            planned(
                "near",
                keys=["place"],
                measures={"n": count(), "size": total("size")},
                before="1h",
                after="1h",
            )
        )
    )["me"]
    assert (made["near_n"], made["near_size"]) == (3, 3)


def test_pending_is_what_began_and_has_not_ended(workshop):
    """Trips due by T that left after T (or never) wait; how long they waited adds up."""
    workshop.put(
        "trips",
        [
            ASKING,
            trip("waits", at(9), left=at(11)),
            trip("leaves at T", at(9), left=at(10)),
            trip("never", at(9, 30)),
            trip("left early", at(9, 50), left=at(9, 40)),
            trip("not due", at(10, 30), left=at(11)),
        ],
    )
    made = workshop.features(
        feature_set(
            pending(
                "due",
                dataset="trips",
                keys=["place"],
                since="leaves",
                until="left",
                measures=["count", "minutes"],
            )
        )
    )["me"]
    assert (made["due_count"], made["due_minutes"]) == (2, 90)
