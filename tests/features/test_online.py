"""Online and offline give the same features, to the bit; and each says how old it is."""

from __future__ import annotations

import math
import struct
from datetime import datetime, timedelta

import pytest
from feature_workshop import Workshop, at, trip
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from mainspring._adapters.sqlite.online import SqliteOnline
from mainspring.core.errors import Conflict, Invalid, NotFound
from mainspring.features import (
    count,
    derived,
    feature_set,
    highest,
    latest,
    mean,
    pending,
    planned,
    rolling,
    row,
    total,
)
from mainspring.features.lookup import FeatureLookup
from mainspring.features.online import Publisher
from mainspring.testing import memory_ports

BEGIN = datetime.fromisoformat("2024-01-10T00:00:00+00:00")
DEFINITION = feature_set(
    row("own", {"hour": "hour(leaves)", "size": "size", "line": "line"}),
    latest(
        "weather",
        dataset="weather",
        keys=["place"],
        columns={"wind": "wind", "rank": "rank", "gusty": "wind > 3"},
        max_age="3h",
    ),
    rolling(
        "here",
        dataset="trips",
        keys=["place"],
        measures={"late": mean("late"), "n": count(), "sum": total("late"), "max": highest("late")},
        windows=["4h", "1d"],
    ),
    rolling("all", dataset="trips", keys=[], measures={"n": count()}, windows=["1d"]),
    pending("open", dataset="trips", keys=["place", "line"], since="left", until="landed"),
    derived("made", {"both": "here_late_4h * wind", "halved": "rank // 2"}),
    categories=["line"],
)


def bits(value: object) -> object:
    return (
        struct.pack("<d", value)
        if isinstance(value, float) and math.isfinite(value)
        else str(value)
    )


def minutes(number: int) -> str:
    return (BEGIN + timedelta(minutes=number)).isoformat().replace("+00:00", "Z")


def seen(moment: int, value: int) -> int:
    """The minute of which the weather was told at a moment."""
    return moment - 7 * (value % 5)


def facts(name: str, number: int, moment: int, place: str, value: int) -> dict[str, object]:
    """A fact that became known at a minute of the day, of something a while before."""
    if name == "weather":
        before = minutes(seen(moment, value))
        return {
            "place": place,
            "seen": before,
            "told": minutes(moment),
            "wind": value / 3,
            "rank": value,
        }
    landed = minutes(moment + 10 * value) if value % 3 else None
    return trip(
        f"t{number}", minutes(moment - 20), left=minutes(moment), late=value, place=place,
        line="xy"[value % 2], landed=landed,
    )  # fmt: skip


ZERO = trip("zero", minutes(0), left=minutes(0), landed=minutes(1), place="Z", late=1)
STREAM = st.lists(
    st.tuples(
        st.sampled_from(["weather", "trips"]),
        st.integers(1, 1200),
        st.sampled_from("ABC"),
        st.integers(0, 9),
    ),
    min_size=3,
    max_size=25,
    # Nothing is told twice, and no moment of a place is seen twice: that is the weather's key.
    unique_by=(
        lambda fact: fact[:3],
        lambda fact: (fact[0], fact[2], seen(*fact[1::2]) if fact[0] == "weather" else fact[1]),
    ),
)


@settings(
    max_examples=8,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.generate],  # an example takes a second: shrinking one takes minutes
)
@given(stream=STREAM, ask=st.integers(60, 1200), size=st.integers(0, 5))
def test_there_is_no_skew_between_training_and_serving(tmp_path_factory, stream, ask, size):
    """Over any stream of facts: a row looked up at T has the features that a build gives it, to
    the bit, though the build knows everything that became known after T.
    """
    folder = tmp_path_factory.mktemp("skew")
    with memory_ports() as ports:
        workshop = Workshop(ports, folder)
        stream = sorted(stream, key=lambda fact: fact[1])
        known = [fact for fact in stream if fact[1] <= ask]
        everything = {"weather": [], "trips": []}
        sofar = {"weather": [], "trips": []}
        for number, fact in enumerate(stream):
            made = facts(fact[0], number, *fact[1:])
            everything[fact[0]].append(made)
            if fact in known:
                sofar[fact[0]].append(made)
        asked = [
            {"place": place, "line": "x", "size": size, "leaves": minutes(ask + 120)}
            for place in ("A", "B", "D", None)
        ]
        rows = [{**trip(f"ask{n}", one["leaves"]), **one} for n, one in enumerate(asked)]
        first = {"place": "Z", "seen": minutes(0), "told": minutes(0), "wind": 1.0, "rank": 1}
        workshop.put("weather", [first, *sofar["weather"]])
        workshop.put("trips", [ZERO, *sofar["trips"]])
        ports.clock.set(BEGIN + timedelta(minutes=ask))
        online = SqliteOnline(str(folder / "online.db"))
        Publisher(workshop.views, online).publish(DEFINITION, workshop.problem)
        recipe, _ = workshop.views.recipe(DEFINITION, workshop.problem)
        found = FeatureLookup(online, ports.tables, ports.clock).features(recipe, asked)
        online.close()
        workshop.put("weather", [first, *everything["weather"]])
        workshop.put(
            "trips",
            [ZERO, *everything["trips"], *rows],
        )
        built = workshop.views.rows(workshop.views.build(DEFINITION, workshop.problem))
        places = {key: place for place, key in enumerate(built["row_key"].tolist())}
        for n in range(len(asked)):
            for name, column in found.columns.items():
                offline = built[name].tolist()[places[f"ask{n}"]]
                assert bits(column.tolist()[n]) == bits(offline), (name, n)


@pytest.fixture
def published(workshop, tmp_path):
    """A store with the features of one place as of noon, and a lookup over it."""
    workshop.put("weather", [{"place": "A", "seen": at(9), "told": at(9), "wind": 2.0, "rank": 7}])
    workshop.put("trips", [ZERO, trip("x", at(8), left=at(9), landed=at(10), late=4)])
    workshop.ports.clock.set(datetime.fromisoformat(at(11)))
    online = SqliteOnline(str(tmp_path / "online.db"))
    yield workshop, online, lambda **more: publish(workshop, online, **more)
    online.close()


def publish(workshop, online, **more):
    Publisher(workshop.views, online).publish(DEFINITION, workshop.problem, **more)
    recipe, _ = workshop.views.recipe(DEFINITION, workshop.problem)
    lookup = FeatureLookup(online, workshop.ports.tables, workshop.ports.clock, cached_seconds=0.0)
    return recipe, lookup


def asking(**more):
    return {"place": "A", "line": "x", "size": 1, **more}


def test_an_answer_says_how_old_each_view_is(published):
    """Freshness is the age of the publication; a fact beyond its bound at T is nothing."""
    workshop, _, make = published
    recipe, lookup = make()
    workshop.ports.clock.advance(timedelta(minutes=30))
    found = lookup.features(recipe, [asking()])
    assert found.freshness == dict.fromkeys(("weather", "here", "all", "open"), 1800.0)
    assert (found.columns["wind"][0], found.columns["rank"][0]) == (2.0, 7.0)
    workshop.ports.clock.advance(timedelta(minutes=31))  # T is 12:01, the fact of 9:00 counts 3 h
    assert lookup.features(recipe, [asking()]).columns["wind"].tolist() != [2.0]


def test_who_is_not_known_is_as_in_training_or_an_error(published):
    """As declared: what a build gives for such a row, or a refusal that names the view."""
    _, _, make = published
    recipe, lookup = make()
    found = lookup.features(recipe, [asking(place="nowhere"), asking(place=None)])
    assert found.columns["here_n_4h"].tolist()[0] == 0.0
    assert str(found.columns["here_n_4h"].tolist()[1]) == "nan"
    recipe, lookup = make(missing="error")
    with pytest.raises(NotFound) as raised:
        lookup.features(recipe, [asking(place="nowhere")])
    assert raised.value.code == "features.unknown_entity"


@pytest.mark.parametrize(
    ("row", "code"),
    [
        ({"place": "A", "line": "x"}, "features.missing_column"),
        (asking(size="big"), "features.bad_value"),
        (asking(leaves="soon"), "features.bad_value"),
        (asking(place=7), "features.bad_value"),
    ],
)
def test_rows_that_cannot_be_read_are_refused(published, row, code):
    """A column that features are made of is never silently null, nor of another type."""
    _, _, make = published
    recipe, lookup = make()
    with pytest.raises(Invalid) as raised:
        lookup.features(recipe, [row])
    assert raised.value.code == code


def test_what_was_not_published_is_said(published):
    """A model of other features is not answered from these."""
    _, _, make = published
    _, lookup = make()
    with pytest.raises(NotFound) as raised:
        lookup.features("sha256:other", [asking()])
    assert raised.value.code == "features.not_materialized"


def test_a_view_that_no_entity_names_is_refused(published):
    """The plan around a row cannot be looked up; it is said when publishing, not when asked."""
    workshop, online, _ = published
    definition = feature_set(
        planned("plan", keys=["place"], measures={"n": count()}, before="1h", after="1h")
    )
    with pytest.raises(Conflict) as raised:
        Publisher(workshop.views, online).publish(definition, workshop.problem)
    assert raised.value.code == "features.not_online"


def test_the_cache_is_bounded(published):
    """However many entities are asked for, so many are kept."""
    workshop, online, make = published
    recipe, _ = make()
    lookup = FeatureLookup(online, workshop.ports.tables, workshop.ports.clock, cached_entities=50)
    for number in range(0, 300, 100):
        lookup.features(recipe, [asking(place=f"p{n}") for n in range(number, number + 100)])
    assert len(lookup._cache) == 50
