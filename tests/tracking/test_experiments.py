from __future__ import annotations

import pytest

from mainspring.core.errors import Conflict, Invalid, NotFound
from mainspring.testing.clock import FakeClock
from mainspring.tracking import Tracking


def test_the_default_experiment_is_there(tracking: Tracking) -> None:
    """Identifier 0 is "Default"; preparing twice changes nothing."""
    tracking.experiments.prepare()
    assert [(e.id, e.name) for e in tracking.experiments.search().items] == [("0", "Default")]


def test_names_stay_taken(tracking: Tracking) -> None:
    """A deleted experiment keeps its name; renaming onto a taken name is refused."""
    made = tracking.experiments.create("a", tags={"k": "v"})
    tracking.experiments.delete(made.id)
    with pytest.raises(Conflict, match="exists"):
        tracking.experiments.create("a")
    other = tracking.experiments.create("b")
    with pytest.raises(Conflict):
        tracking.experiments.rename(other.id, "a")
    assert tracking.experiments.named("a").state == "deleted"
    assert tracking.experiments.ensure("b") == other
    with pytest.raises(Conflict):
        tracking.experiments.ensure("a")


@pytest.mark.parametrize("name", ["", "x" * 501, "a\x00b", "a\u202eb", "a\nb", "\ud800"])
def test_bad_names_are_refused(tracking: Tracking, name: str) -> None:
    """Names that hide something, or are empty or endless, are not stored."""
    with pytest.raises(Invalid):
        tracking.experiments.create(name)
    assert len(tracking.experiments.search(view="all").items) == 1


@pytest.mark.parametrize(
    "uri",
    ["file:///a/../../etc", "http://x/#/../../etc", "s3://b/?x=/../..", "a\\..\\b", "x;/../.."],
)
def test_locations_that_climb_are_refused(tracking: Tracking, uri: str) -> None:
    """An artifact location is a plain URI or nothing."""
    with pytest.raises(Invalid):
        tracking.experiments.create("x", artifact_uri=uri)


def test_search_by_name_tag_and_time(tracking: Tracking, clock: FakeClock) -> None:
    """Filters, orders, views and pages of experiments."""
    for i in range(6):
        clock.advance(1)
        tracking.experiments.create(f"exp{i}", tags={"odd": str(i % 2)})
    tracking.experiments.delete("6")
    search = tracking.experiments.search
    assert [e.name for e in search("tags.odd = '1'").items] == ["exp3", "exp1"]
    assert [e.name for e in search("name LIKE 'exp%' and tags.odd != '1'").items] == [
        "exp4",
        "exp2",
        "exp0",
    ]
    assert [e.name for e in search("name ILIKE 'EXP5'", view="deleted").items] == ["exp5"]
    assert [e.name for e in search("tags.odd IS NULL").items] == ["Default"]
    assert [e.id for e in search("experiment_id IN ('2', '3')", order_by=("name",)).items] == [
        "2",
        "3",
    ]
    seen, token = [], None
    while True:
        page = search(order_by=("name DESC",), view="all", limit=2, token=token)
        seen += [e.name for e in page.items]
        token = page.next_token
        if token is None:
            break
    assert seen == ["exp5", "exp4", "exp3", "exp2", "exp1", "exp0", "Default"]
    created = tracking.experiments.get("3").created_ms
    assert [e.id for e in search(f"creation_time > {created}").items] == ["5", "4"]
    with pytest.raises(Invalid):
        search("metrics.a > 1")


def test_tags(tracking: Tracking) -> None:
    """Tags are set beside those there are, and removed by key."""
    made = tracking.experiments.create("a", tags={"k": "v"})
    tracking.experiments.tag(made.id, {"l": "w"})
    tracking.experiments.untag(made.id, "k")
    assert tracking.experiments.get(made.id).tags == {"l": "w"}
    with pytest.raises(NotFound):
        tracking.experiments.untag(made.id, "k")
    with pytest.raises(Invalid, match="maximum length"):
        tracking.experiments.tag(made.id, {"long": "x" * 20_001})
