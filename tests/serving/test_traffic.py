"""Who answers a row."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainspring.core.errors import Invalid, NotFound
from mainspring.serving.routes import read_routes, write_routes
from mainspring.serving.traffic import (
    Route,
    RouteTable,
    Variant,
    assign,
    check_route,
    draw,
    named,
    versioned,
)

CHAMPION = Variant(name="champion", model="sha256:a", version="1")


def canary(share: float, name: str = "canary", version: str = "2") -> Variant:
    return Variant(name=name, model="sha256:b", version=version, role="canary", share=share)


@st.composite
def answering(draw_):
    count = draw_(st.integers(0, 4))
    parts = [draw_(st.sampled_from([0.0, 0.001, 0.1, 0.25, 1 / 3])) for _ in range(count)]
    total = sum(parts)
    shares = [part / total for part in parts] if total > 1 else parts
    return [*(canary(share, f"c{n}") for n, share in enumerate(shares)), CHAMPION]


@given(answering(), st.lists(st.text(), max_size=300))
def test_a_share_of_zero_is_no_request_at_all(variants, entities):
    """Not one row goes to a canary without a share, whatever stands beside it."""
    who = assign("late", variants, entities)
    for place, variant in enumerate(variants[:-1]):
        if variant.share == 0.0:
            assert not np.any(who == place)


@given(st.lists(st.text(), min_size=1, max_size=300))
def test_a_share_of_one_is_every_request(entities):
    """A canary with everything leaves nothing to the champion."""
    assert not np.any(assign("late", [canary(1.0), CHAMPION], entities) != 0)


@given(st.text(), st.floats(0, 1), st.floats(0, 1))
def test_an_entity_stays_with_a_canary_that_grows(entity, one, other):
    """Whoever met the canary at a small share meets it at every larger one."""
    small, large = sorted((one, other))
    if assign("late", [canary(small), CHAMPION], [entity])[0] == 0:
        assert assign("late", [canary(large), CHAMPION], [entity])[0] == 0


def test_shares_are_kept_in_proportion():
    """Ten thousand entities split as declared, within four standard errors."""
    entities = [f"plane-{n}" for n in range(10_000)]
    who = assign("late", [canary(0.1), canary(0.3, "other"), CHAMPION], entities)
    shares = np.bincount(who, minlength=3) / len(entities)
    assert shares == pytest.approx([0.1, 0.3, 0.6], abs=4 * 0.005)


def test_draws_never_change():
    """The draw is part of the stored behaviour: another version of us must not reshuffle users."""
    assert draw("late", "N12345") == 0.5755352699771402
    assert draw("other", "N12345") != draw("late", "N12345")


@given(st.text())
def test_draws_lie_in_the_unit_interval(entity):
    """Never 1, so the last interval holds everything."""
    assert 0.0 <= draw("late", entity) < 1.0


@pytest.mark.parametrize(
    "variants",
    [
        (),
        (canary(0.5),),
        (CHAMPION, CHAMPION),
        (CHAMPION, canary(0.1, "champion")),
        (CHAMPION, canary(0.6), canary(0.6, "b")),
        (Variant(name="champion", model="sha256:a", version="1", share=0.5),),
    ],
)
def test_routes_that_make_no_sense_are_refused(variants):
    """Exactly one champion, distinct names, shares on canaries only and at most 1 together."""
    with pytest.raises(Invalid) as raised:
        check_route("late", Route(variants=variants))
    assert raised.value.code == "serving.bad_route"


def test_a_table_is_replaced_never_changed():
    """A request that holds the old table is not disturbed by a new one."""
    old = RouteTable().with_route("late", Route(variants=(CHAMPION,)))
    new = old.with_route("late", Route(variants=(CHAMPION, canary(0.1))))
    assert len(old.route("late").variants) == 1
    assert (old.revision, new.revision, new.without("late").revision) == (1, 2, 3)
    with pytest.raises(NotFound):
        new.without("late").route("late")


def test_variants_are_found_by_name_and_version():
    """The champion wins when a version stands twice."""
    twin = Variant(name="twin", model="sha256:a", version="1", role="reference")
    route = Route(variants=(twin, CHAMPION, canary(0.1)))
    assert named(route, "late", "twin") == twin
    assert versioned(route, "late", "1") == CHAMPION
    with pytest.raises(NotFound, match="twin, champion, canary"):
        named(route, "late", "nobody")
    with pytest.raises(NotFound):
        versioned(route, "late", "9")


def test_routes_survive_on_disk(tmp_path):
    """What was written is what a restarted gateway reads; nothing else stays in the folder."""
    table = RouteTable().with_route("late", Route(variants=(CHAMPION, canary(0.25))))
    assert read_routes(tmp_path) == RouteTable()
    write_routes(tmp_path, table)
    assert read_routes(tmp_path) == table
    assert [path.name for path in tmp_path.iterdir()] == ["routes.json"]


@pytest.mark.parametrize("text", ["", "{", '{"routes":{"late":{"variants":[]}}}', '{"format":"2"}'])
def test_a_spoilt_routes_file_is_an_error(tmp_path, text):
    """A gateway never starts with fewer routes than it had, and says nothing."""
    (tmp_path / "routes.json").write_text(text)
    with pytest.raises(Exception, match=r"routes\.json cannot be read"):
        read_routes(tmp_path)
