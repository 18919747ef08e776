"""From any thing one can walk to what it rests on and to what rests on it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mainspring._adapters.sql.event_log import SqlEventLog, SqlReferenceIndex
from mainspring._adapters.sqlite.database import SqliteDatabase
from mainspring.core.events import EventKind, Fact, Ref
from mainspring.governance import lineage
from mainspring.testing import FakeClock


def _open(*facts):
    database = SqliteDatabase(":memory:", FakeClock())
    database.migrate()
    for subject, used, generated in facts:
        fact = Fact(
            kind=EventKind("test.did"),
            subject=Ref(subject),
            used=tuple(map(Ref, used)),
            generated=tuple(map(Ref, generated)),
        )
        database.write(lambda tx, fact=fact: tx.announce(fact))
    return database


LIFE = [
    ("ingest:1", [], ["dataset:d@1"]),
    ("run:1", ["dataset:d@1"], []),
    ("run:1", [], ["model:m/1"]),
    ("ingest:2", ["dataset:d@1"], ["dataset:d@2"]),
    ("run:2", ["dataset:d@2"], ["model:m/2"]),
    ("comparison:1", ["model:m/1", "model:m/2"], ["release:m@champion"]),
    ("noise:1", ["dataset:other"], ["report:x"]),
]


@pytest.fixture
def database():
    opened = _open(*LIFE)
    yield opened
    opened.close()


def _refs(graph):
    return {node.ref for node in graph.nodes}


def _up(database, ref, **named):
    return database.read(lambda db: lineage.upstream(SqlEventLog(db), Ref(ref), **named))


def _down(database, ref, **named):
    return database.read(lambda db: lineage.downstream(SqlEventLog(db), Ref(ref), **named))


def test_upstream_reaches_the_sources(database):
    """From a model one comes to its run, the data it used and what that was made from."""
    graph = _up(database, "model:m/2")
    assert _refs(graph) == {
        "model:m/2",
        "run:2",
        "dataset:d@2",
        "ingest:2",
        "dataset:d@1",
        "ingest:1",
    }
    assert graph.complete
    assert (graph.nodes[0], graph.nodes[0].type) == (lineage.Node(Ref("model:m/2"), 0), "model")
    relations = [(edge.source, edge.relation, edge.target, edge.sequence) for edge in graph.edges]
    assert ("model:m/2", "wasGeneratedBy", "run:2", 5) in relations
    assert ("run:2", "used", "dataset:d@2", 5) in relations
    assert [edge.sequence for edge in graph.edges] == [1, 4, 4, 5, 5]


def test_downstream_reaches_everything_made_from_it(database):
    """From a dataset version one comes to every model, and to the release that they led to."""
    graph = _down(database, "dataset:d@1")
    assert "noise:1" not in _refs(graph)
    assert {"model:m/1", "model:m/2", "dataset:d@2", "release:m@champion"} <= _refs(graph)
    assert "ingest:1" not in _refs(graph)


def test_an_activity_may_use_before_it_generates(database):
    """A run that used in one event and generated in a later one connects the two."""
    assert "dataset:d@1" in _refs(_up(database, "model:m/1"))


def test_what_comes_later_is_not_upstream():
    """A pipeline that runs every month does not rest its first model on its last data."""
    database = _open(
        ("pipeline:monthly", ["dataset:d@1"], ["model:m/1"]),
        ("pipeline:monthly", ["dataset:d@2"], ["model:m/2"]),
    )
    assert _refs(_up(database, "model:m/1")) == {"model:m/1", "pipeline:monthly", "dataset:d@1"}
    assert "dataset:d@1" in _refs(_up(database, "model:m/2"))
    assert _refs(_down(database, "dataset:d@2")) == {
        "dataset:d@2",
        "pipeline:monthly",
        "model:m/2",
    }
    database.close()


def test_a_cycle_ends():
    """Things that were made from each other over time do not make the walk endless."""
    database = _open(
        ("a:1", ["x:1"], ["y:1"]), ("b:1", ["y:1"], ["x:1"]), ("a:1", ["x:1"], ["y:1"])
    )
    assert _refs(_up(database, "y:1")) == {"y:1", "a:1", "x:1", "b:1"}
    assert _refs(_down(database, "y:1")) == {"y:1", "a:1", "x:1", "b:1"}
    database.close()


def test_an_unknown_thing_is_alone(database):
    """What the record does not know has no neighbours."""
    assert _refs(_up(database, "model:none")) == {"model:none"}


def test_the_walk_stops_at_its_limit(database):
    """A graph that is too large is cut and says so."""
    graph = _up(database, "release:m@champion", max_nodes=3)
    assert (len(graph.nodes), graph.complete) == (3, False)
    inside = _refs(graph)
    assert all(edge.source in inside and edge.target in inside for edge in graph.edges)


def test_a_walk_reads_only_what_it_touches(database):
    """Ten thousand events elsewhere do not make a walk read one row more."""

    def reads():
        seen = []

        class Counting(SqlEventLog):
            def of(self, *arguments, **named):
                found = super().of(*arguments, **named)
                seen.append(len(found))
                return found

        database.read(lambda db: lineage.upstream(Counting(db), Ref("model:m/2")))
        return sum(seen), len(seen)

    before = reads()
    fact = Fact(
        kind=EventKind("test.did"),
        subject=Ref("elsewhere:1"),
        used=(Ref("far:1"),),
        generated=(Ref("far:2"),),
    )
    database.write(lambda tx: [tx.announce(fact) for _ in range(10_000)])
    assert reads() == before


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["act:1", "act:2", "act:3", "thing:1"]),
            st.lists(st.sampled_from(["thing:1", "thing:2", "thing:3"]), max_size=2),
            st.lists(st.sampled_from(["thing:1", "thing:2", "thing:3"]), max_size=2),
        ),
        max_size=12,
    )
)
def test_upstream_and_downstream_are_two_views_of_one_graph(facts):
    """One thing is upstream of another exactly when the other is downstream of it."""
    database = _open(*facts)
    refs = ["act:1", "act:2", "act:3", "thing:1", "thing:2", "thing:3"]
    up = {(one, other) for one in refs for other in _refs(_up(database, one))}
    down = {(other, one) for one in refs for other in _refs(_down(database, one))}
    assert up == down
    database.close()


def test_the_index_can_be_checked_and_made_anew(database):
    """A reference that was removed, added or left over is named, and rebuilding mends it."""

    def check():
        return database.read(lambda db: lineage.check_index(SqlEventLog(db)))

    assert check() == []
    database.write(lambda tx: tx.run("DELETE FROM event_refs WHERE ref = 'model:m/1'"))
    database.write(lambda tx: tx.run("INSERT INTO event_refs VALUES ('model:fake', 'used', 2)"))
    assert "unknown: used model:fake of event 2" in check()
    assert sum(line.startswith("missing") for line in check()) == 2
    assert database.write(lambda tx: lineage.rebuild_index(SqlReferenceIndex(tx))) == len(LIFE)
    assert check() == []
    database.write(lambda tx: tx.run("INSERT INTO event_refs VALUES ('model:fake', 'used', 99)"))
    assert check() == ["unknown: 1 references of events that do not exist"]
