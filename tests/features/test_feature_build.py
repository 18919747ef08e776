"""Feature tables are built by stretches, exactly once, and a definition that looks ahead is refused."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
import pytest
from feature_workshop import ASKING, PROBLEM, at, by_key, trip

from mainspring.core.errors import MainspringError
from mainspring.features import count, derived, feature_set, latest, mean, rolling, row, share

DELAYS = rolling(
    "here", dataset="trips", keys=["place"], measures={"late": mean("late")}, windows=["3h"]
)
OWN = row("own", {"hour": "hour(leaves)"})


def day(number):
    return datetime(2024, 1, number, tzinfo=UTC)


def test_stretches_add_up_to_the_whole(workshop):
    """Building day by day gives the very rows that one build gives."""
    rows = [
        trip(f"{d}-{h}", at(h, day=d), left=at(h, 30, day=d), late=d * h)
        for d in (9, 10, 11)
        for h in (1, 5, 12)
    ]
    workshop.put("trips", rows)
    definition = feature_set(OWN, DELAYS)
    whole = workshop.features(definition)
    parts = feature_set(OWN, DELAYS, name="parts")
    for d in (9, 10, 11):
        build = workshop.views.build(parts, PROBLEM, start=day(d), end=day(d + 1))
        assert build.rows == 3
    assert build.table_rows == 9
    assert by_key(workshop.views.rows(build)) == whole


def test_the_same_build_again_changes_nothing(workshop):
    """The same definition over the same versions is the build that was made before."""
    workshop.put("trips", [ASKING])
    first = workshop.views.build(feature_set(OWN, DELAYS), PROBLEM)
    assert workshop.views.build(feature_set(OWN, DELAYS), PROBLEM) == first
    events = workshop.ports.database.read(
        lambda db: db.all("SELECT kind, used, generated FROM events")
    )
    assert [row for row in events if row[0] == "features.built"] == [
        ("features.built", '["dataset:trips@1"]', '["features:features@1"]')
    ]


def test_new_facts_replace_the_stretch(workshop):
    """A later dataset version rebuilds the rows in place; the older build stays readable."""
    workshop.put("trips", [ASKING])
    first = workshop.views.build(feature_set(DELAYS), PROBLEM)
    workshop.put("trips", [ASKING, trip("x", at(8), left=at(9), late=4)])
    second = workshop.views.build(feature_set(DELAYS), PROBLEM)
    assert (second.version, second.table, second.table_rows) == (2, first.table, 2)
    assert by_key(workshop.views.rows(first))["me"]["here_late_3h"] is None
    assert by_key(workshop.views.rows(second))["me"]["here_late_3h"] == 4


def test_another_definition_starts_another_table(workshop):
    """Columns of two recipes never mix."""
    workshop.put("trips", [ASKING])
    first = workshop.views.build(feature_set(OWN), PROBLEM)
    second = workshop.views.build(feature_set(OWN, DELAYS), PROBLEM)
    assert first.table != second.table
    assert [column.name for column in second.columns] == ["hour", "here_late_3h"]


def test_features_can_be_had_by_key_and_moment(workshop):
    """What was not due at the asked moment is not given."""
    workshop.put("trips", [ASKING, trip("next", at(20))])
    workshop.views.build(feature_set(OWN), PROBLEM)
    found = workshop.views.get(
        "features", ["me", "next"], as_of=datetime(2024, 1, 10, 11, tzinfo=UTC)
    )
    assert list(found["row_key"]) == ["me"]


def test_rows_that_are_in_no_dataset_can_be_computed(workshop):
    """A new row asks with its plan alone, and gets what the facts say as of its T."""
    import numpy as np

    workshop.put("trips", [ASKING, trip("x", at(8), left=at(9), late=4)])
    frame = {
        "id": np.array(["new"], dtype=object),
        "place": np.array(["A"], dtype=object),
        "line": np.array(["x"], dtype=object),
        "size": np.array([1]),
        "leaves": np.array(["2024-01-10T12:00:00"], dtype="datetime64[us]"),
    }
    made = by_key(workshop.views.compute(feature_set(OWN, DELAYS), PROBLEM, frame))
    assert (made["new"]["hour"], made["new"]["here_late_3h"], made["new"]["label"]) == (12, 4, None)


def test_a_check_agrees_and_finds_a_forged_value(workshop):
    """The slow recomputation agrees to the bit; one value changed in the table is named."""
    workshop.put("trips", [trip(f"{h}", at(h), left=at(h, 30), late=h) for h in range(24)])
    build = workshop.views.build(feature_set(OWN, DELAYS), PROBLEM)
    found = workshop.views.check("features")
    assert (found.ok, found.sampled, found.compared) == (True, 24, 24)
    forged = workshop.ports.tables.append_query(
        build.table,
        "SELECT * REPLACE (here_late_3h + 1e-9 AS here_late_3h) FROM built",
        {"built": build.relation},
        replace_where="true",
    )
    changed = msgspec.structs.replace(build, version=2, table_version=forged)
    workshop.ports.database.write(lambda tx: workshop.views.store.add(tx, changed))
    found = workshop.views.check("features")
    assert not found.ok
    assert "here_late_3h" in found.mismatches[0]


@pytest.mark.parametrize(
    ("views", "code", "says"),
    [
        ([row("own", {"x": "late * 2"})], "features.looks_ahead", "'late'"),
        ([row("own", {"x": "(SELECT max(late) FROM rows)"})], "features.unknown_column", "'rows'"),
        ([row("own", {"x": "sizze"})], "features.unknown_column", "'size'"),
        ([OWN, derived("more", {"x": "hour + late"})], "features.looks_ahead", "'late'"),
        ([OWN, derived("more", {"x": "hours"})], "features.unknown_column", "'hour'"),
        ([OWN, derived("more", {"y": "hour"}, drop=["hours"])], "features.unknown_column", "'hour'"),
        ([row("own", {"x": "line"})], "features.not_a_number", "categories"),
        ([OWN, row("again", {"Hour": "size"})], "features.duplicate_feature", "taken"),
        ([row("own", {"label": "size"})], "features.duplicate_feature", "label"),
        ([row("own", {"x": "size +"})], "features.bad_sql", "own"),
        ([rolling("r", dataset="trips", keys=["late"], measures={"n": count()}, windows=["1h"])],
         "features.looks_ahead", "'late'"),
        ([rolling("r", dataset="trips", keys=["place"], measures={"s": share("late")}, windows=["1h"])],
         "features.not_a_condition", "late"),
        ([rolling("r", dataset="trips", keys=["place"], measures={"s": mean("lat")}, windows=["1h"])],
         "features.unknown_column", "'late'"),
        ([rolling("r", dataset="trips", keys=["place"], measures={"n": count()}, windows=["1h"], known_at="size")],
         "features.no_time", "moments"),
        ([latest("w", dataset="weather", keys=["place"], columns=["wind"])],
         "data.dataset_not_found", "weather"),
    ],
)  # fmt: skip
def test_a_definition_that_cannot_work_is_refused_before_anything_is_built(
    workshop, views, code, says
):
    """The view, the column and the next step are named; a column of the future is not reachable."""
    workshop.put("trips", [ASKING])
    with pytest.raises(MainspringError) as caught:
        workshop.views.build(feature_set(*views), PROBLEM)
    assert caught.value.code == code
    assert says in str(caught.value)
    assert workshop.views.names() == []


def test_a_bad_window_is_refused_where_it_is_written():
    """A length of time that is none names its view."""
    with pytest.raises(MainspringError) as caught:
        rolling("r", dataset="trips", keys=[], measures={"n": count()}, windows=["3 parsecs"])
    assert caught.value.code == "features.bad_duration"
