"""Models: names, descriptions, tags, renaming, taking away."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from registry_workspace import Workspace, package, publish

from mainspring.core.errors import Conflict, Invalid, NotFound
from mainspring.core.events import ref
from mainspring.registry.names import check_model_name, name_key
from mainspring.registry.query import Clause, Order, Query
from mainspring.registry.service import Registry
from mainspring.registry.types import Because


def test_a_model_is_what_was_registered(ws: Workspace):
    """Name, description, tags and both times come back, and one event tells of it."""
    made = ws.registry.models.register("late", description="Delays", tags={"team": "ops"})
    assert ws.registry.models.get("late") == made
    assert (made.description, made.tags, made.created) == (
        "Delays",
        {"team": "ops"},
        ws.clock.now(),
    )
    event = ws.events[-1]
    assert (event.kind, event.subject) == ("registry.model_registered", "model:late")
    assert event.generated == ("model:late",)


def test_a_name_is_given_once(registry: Registry):
    """A second registration is refused, or finds the first when that is asked for."""
    made = registry.models.register("late")
    with pytest.raises(Conflict) as refused:
        registry.models.register("late")
    assert refused.value.code == "registry.name_taken"
    assert registry.models.register("late", exists_ok=True) == made


@pytest.mark.parametrize("twin", ["LATE", "Late", "\uff4c\uff41\uff54\uff45"])
def test_names_that_look_alike_are_one(registry: Registry, twin: str):
    """A name that differs only in case or width is taken, and the error names the holder."""
    registry.models.register("late")
    with pytest.raises(Conflict) as refused:
        registry.models.register(twin)
    assert refused.value.facts["existing"] == "late"


def test_a_name_is_found_in_either_normal_form(registry: Registry):
    """An accent typed as one letter or as two is the same name."""
    registry.models.register("retard\u00e9")
    assert registry.models.get("retarde\u0301").name == "retard\u00e9"


@pytest.mark.parametrize(
    "name",
    ["", "a/b", "a:b", " a", "a ", ".", "..", "a\x00", "a\n", "a\u202eb", "a\ud800", "x" * 257],
)
def test_names_that_deceive_are_refused(registry: Registry, name: str):
    """What cannot be part of an address, or cannot be seen, is not a name."""
    with pytest.raises(Invalid) as refused:
        registry.models.register(name)
    assert refused.value.code == "registry.bad_name"


@given(st.text(max_size=40))
def test_a_checked_name_stays_checked(name: str):
    """Checking twice gives the same name; its key does not depend on its form."""
    try:
        checked = check_model_name(name)
    except Invalid:
        return
    assert check_model_name(checked) == checked
    assert name_key(name_key(checked)) == name_key(checked)


def test_a_missing_model_is_named_with_its_neighbour(registry: Registry):
    """A misspelt name is answered with the one that was meant."""
    registry.models.register("flight-delay")
    with pytest.raises(NotFound, match="Did you mean 'flight-delay'"):
        registry.models.get("flight-dely")


def test_tags_and_description_change_with_one_event_each(ws: Workspace):
    """A change is announced, and what changes nothing is not."""
    models = ws.registry.models
    models.register("late")
    models.tag("late", {"a": "1"}, Because("setup"))
    models.tag("late", {"a": "1"})
    models.describe("late", "New")
    models.untag("late", "none")
    assert models.untag("late", "a").tags == {}
    assert ws.kinds() == ["model_registered"] + ["model_updated"] * 3


def test_a_rename_keeps_versions_and_lineage(ws: Workspace):
    """Versions go by the new name, and the event ties each old address to the new one."""
    publish(ws.registry, "late", 2)
    ws.registry.models.rename("late", "later")
    assert ws.registry.versions.get("later", 2).registered_as == "late/2"
    with pytest.raises(NotFound):
        ws.registry.models.get("late")
    event = ws.events[-1]
    assert ref("model", "late/2") in event.used
    assert ref("model", "later/2") in event.generated


def test_no_address_ever_means_two_packages(registry: Registry):
    """Numbers go on after a model was deleted, renamed away or purged; used names are not taken."""
    publish(registry, "late", 2)
    registry.models.delete("late")
    registry.models.register("late")
    assert registry.versions.create("late", *package("new")).number == 3
    registry.models.rename("late", "later")
    assert registry.versions.create("later", *package("newer")).number == 4
    registry.models.rename("later", "late")
    assert registry.versions.create("late", *package("newest")).number == 5
    registry.models.register("other")
    with pytest.raises(Conflict) as refused:
        registry.models.rename("other", "later")
    assert refused.value.code == "registry.name_retired"


def test_a_deleted_model_comes_back_whole(registry: Registry):
    """Restoring brings back the description, the tags and every version, but no alias."""
    publish(registry, "late", 2)
    registry.models.tag("late", {"team": "ops"})
    registry.aliases.move("late", "champion", to=1, expected=None)
    with pytest.raises(Conflict) as refused:
        registry.models.delete("late")
    assert refused.value.code == "registry.version_live"
    registry.models.delete("late", with_aliases=True)
    assert registry.models.search().items == ()
    back = registry.models.restore("late")
    assert (back.tags, back.aliases) == ({"team": "ops"}, {})
    assert registry.versions.get("late", 2).number == 2


def test_a_restored_model_does_not_displace_another(registry: Registry):
    """While another model has the name, the deleted one stays deleted."""
    registry.models.register("late")
    registry.models.delete("late")
    registry.models.register("late")
    with pytest.raises(Conflict) as refused:
        registry.models.restore("late")
    assert refused.value.code == "registry.name_taken"


def test_a_purge_is_for_good_and_only_after_a_delete(registry: Registry):
    """Purging needs a delete before it; afterwards only the history of aliases is left."""
    publish(registry, "late", 1)
    registry.aliases.move("late", "champion", to=1, expected=None)
    with pytest.raises(NotFound):
        registry.models.purge("late")
    registry.models.delete("late", with_aliases=True)
    registry.models.purge("late")
    with pytest.raises(Conflict) as refused:
        registry.models.restore("late")
    assert refused.value.code == "registry.purged"
    assert [move.after for move in registry.aliases.history("late", "champion")] == [None, 1]
    assert registry.versions.search(Query(deleted=True)).items == ()


def test_a_listing_pages_without_losing_or_repeating(registry: Registry):
    """Page after page gives every model once, in order, also when one is added on the way."""
    for at in range(25):
        registry.models.register(f"m{at:02}")
    seen: list[str] = []
    token: str | None = None
    while True:
        found = registry.models.search(Query(limit=7, token=token))
        seen += [model.name for model in found.items]
        token = found.next_token
        if token is None:
            break
        registry.models.register(f"a{len(seen)}")
    assert seen == [f"m{at:02}" for at in range(25)]


def test_a_search_finds_by_name_and_tag(registry: Registry):
    """Equality, patterns that mind case or do not, lists, and tags with ``!=`` only where set."""
    registry.models.register("alpha", tags={"team": "ops"})
    registry.models.register("Beta", tags={"team": "web"})
    registry.models.register("gamma")

    def names(*clauses: Clause, **options) -> list[str]:
        return [m.name for m in registry.models.search(Query(clauses=clauses, **options)).items]

    assert names(Clause("name", "=", "alpha")) == ["alpha"]
    assert names(Clause("name", "like", "b%")) == []
    assert names(Clause("name", "ilike", "b%")) == ["Beta"]
    assert names(Clause("name", "in", ("alpha", "gamma"))) == ["alpha", "gamma"]
    assert names(Clause("tag", "=", "ops", tag="team")) == ["alpha"]
    assert names(Clause("tag", "!=", "ops", tag="team")) == ["Beta"]
    assert names(order=(Order("name", descending=True),)) == ["gamma", "alpha", "Beta"]


@pytest.mark.parametrize(
    "query",
    [
        Query(clauses=(Clause("number", "=", 1),)),
        Query(clauses=(Clause("name", "like", "%a" * 9),)),
        Query(clauses=(Clause("name", "=", "a\x00"),)),
        Query(clauses=(Clause("tag", "=", "x"),)),
        Query(clauses=(Clause("name", "=", "a"),) * 65),
        Query(limit=0),
        Query(order=(Order("number"),)),
        Query(token="x"),
        Query(token="bnVsbA=="),
    ],
)
def test_a_query_that_cannot_be_answered_is_refused(registry: Registry, query: Query):
    """Unknown fields, long patterns, unstorable letters and forged tokens are the caller's fault."""
    with pytest.raises(Invalid):
        registry.models.search(query)


def test_a_page_token_belongs_to_its_query(registry: Registry):
    """A token of one query is refused by another."""
    for name in ("a", "b", "c"):
        registry.models.register(name)
    token = registry.models.search(Query(limit=1)).next_token
    with pytest.raises(Invalid) as refused:
        registry.models.search(Query(limit=1, token=token, order=(Order("updated"),)))
    assert refused.value.code == "registry.bad_token"
