"""Whatever is done to the record behind our back is found, and the first of it is named."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mainspring._adapters.sql import events
from mainspring._adapters.sql.event_log import SqlEventLog
from mainspring._adapters.sqlite.database import SqliteDatabase
from mainspring.core.actor import Actor
from mainspring.core.digest import canonical_json
from mainspring.core.events import EventKind, Fact, Ref, chain_digest
from mainspring.governance import audit
from mainspring.governance.ports import Head
from mainspring.testing import FakeClock

COUNT = 20
COLUMNS = events.COLUMNS.split(", ")


def _fact(number):
    return Fact(
        kind=EventKind("test.happened"),
        subject=Ref(f"run:{number}"),
        facts={"number": number, "ratio": 0.5, "text": "é"},
        used=(Ref(f"dataset:d@{number}"),),
        generated=(Ref(f"model:m/{number}"), Ref("report:r")),
        actor=Actor("ada"),
    )


def _filled(count=COUNT):
    clock = FakeClock()
    database = SqliteDatabase(":memory:", clock)
    database.migrate()
    for number in range(1, count + 1):
        clock.advance(1)
        database.write(lambda tx, n=number: tx.announce(_fact(n)))
    return database


@pytest.fixture
def database():
    opened = _filled()
    yield opened
    opened.close()


def _verify(database, noted=None):
    return database.read(lambda db: audit.verify(SqlEventLog(db), noted))


def _tamper(database, sql, *values):
    """What someone with the file and sqlite3 can do."""
    assert database.write(lambda tx: tx.run(sql, values)) != 0


def _flaw(database, noted=None):
    report = _verify(database, noted)
    assert not report.ok
    return report.flaw.sequence, report.flaw.what


def _seal(database, sequence):
    """Recomputes one row's digest, as someone who knows the format would."""
    event = database.read(lambda db: SqlEventLog(db).stored(sequence - 1, limit=1))[0]
    digest = chain_digest(event)
    _tamper(database, "UPDATE events SET digest = ? WHERE sequence = ?", digest, sequence)
    return digest


def test_a_sound_record_is_sound(database):
    """Nothing is wrong with what nobody touched, and the head is the last row's digest."""
    report = _verify(database)
    assert (report.ok, report.events, report.flaw) == (True, COUNT, None)
    assert report.head == Head(COUNT, _seal(database, COUNT))


def test_an_empty_record_is_sound():
    """Before the first event there is nothing to doubt."""
    database = _filled(0)
    assert _verify(database) == audit.AuditReport(ok=True, events=0, head=None)
    database.close()


CHANGES = {
    "time_micros": 0,
    "recorded_micros": 5,
    "actor": "person:eve",
    "kind": "test.other",
    "subject": "run:other",
    "facts": '{"number":7,"ratio":0.6,"text":"é"}',
    "used": "[]",
    "generated": '["report:r"]',
    "previous": "sha256:" + "1" * 64,
    "digest": "sha256:" + "2" * 64,
}


@pytest.mark.parametrize("place", [1, 7, COUNT])
@pytest.mark.parametrize("column", CHANGES)
def test_an_edit_of_any_column_is_found(database, column, place):
    """Whichever column of whichever row was changed, that row is named."""
    sql = f"UPDATE events SET {column} = ? WHERE sequence = ?"
    _tamper(database, sql, CHANGES[column], place)
    assert _flaw(database) == (place, "edited")


@pytest.mark.parametrize(
    "text",
    [
        '{"number": 7,"ratio":0.5,"text":"é"}',
        '{"ratio":0.5,"number":7,"text":"é"}',
        '{"number":7,"number":7,"ratio":0.5,"text":"é"}',
        "not json",
        "",
        b"\xff",
    ],
)
def test_an_edit_that_means_the_same_or_nothing_is_found(database, text):
    """Other spacing, order or doubled keys, and what is no JSON at all."""
    _tamper(database, "UPDATE events SET facts = ? WHERE sequence = 7", text)
    assert _flaw(database) == (7, "edited")


def test_an_edit_with_a_fresh_digest_is_found(database):
    """A row that was edited and sealed anew is betrayed by the row after it."""
    _tamper(database, "UPDATE events SET actor = 'person:eve' WHERE sequence = 7")
    _seal(database, 7)
    assert _flaw(database) == (7, "rewritten")


def test_the_newest_row_sealed_anew_is_found(database):
    """The newest row has no row after it; the head betrays it."""
    _tamper(database, "UPDATE events SET actor = 'person:eve' WHERE sequence = ?", COUNT)
    _seal(database, COUNT)
    assert _flaw(database) == (COUNT, "rewritten")


@pytest.mark.parametrize(("first", "last"), [(1, 1), (7, 7), (7, 9), (1, COUNT - 1)])
def test_removed_rows_are_found(database, first, last):
    """The first missing number is named."""
    _tamper(database, "DELETE FROM events WHERE sequence >= ? AND sequence <= ?", first, last)
    assert _flaw(database) == (first, "removed")


def test_removed_rows_closed_up_are_found(database):
    """Numbering the rest anew does not hide that a row is gone."""
    _tamper(database, "DELETE FROM events WHERE sequence = 7")
    for number in range(8, COUNT + 1):
        sql = "UPDATE events SET sequence = ? WHERE sequence = ?"
        _tamper(database, sql, number - 1, number)
    assert _flaw(database) == (7, "moved")
    for number in range(7, COUNT):
        _seal(database, number)
    assert _flaw(database) == (6, "rewritten")


@pytest.mark.parametrize(("keep", "missing"), [(0, 1), (12, 13), (COUNT - 1, COUNT)])
def test_a_cut_end_is_found(database, keep, missing):
    """The newest rows cannot go unseen, as the head still tells of them."""
    _tamper(database, "DELETE FROM events WHERE sequence > ?", keep)
    assert _flaw(database) == (missing, "cut")


def test_a_cut_with_the_head_set_back_needs_a_noted_head(database):
    """What the database alone cannot show, a head noted elsewhere does."""
    noted = _verify(database).head
    _tamper(database, "DELETE FROM events WHERE sequence > 12")
    digest = database.read(lambda db: db.one("SELECT digest FROM events WHERE sequence = 12"))[0]
    _tamper(database, "UPDATE event_head SET sequence = 12, digest = ?", digest)
    assert _verify(database).ok
    assert _flaw(database, noted) == (13, "cut")


def test_a_record_written_anew_needs_a_noted_head(database):
    """Someone who rewrites the whole chain is found by a head noted before."""
    noted = _verify(database).head
    other = SqliteDatabase(":memory:", FakeClock())
    other.migrate()
    for number in range(1, COUNT + 5):
        other.write(lambda tx, n=number: tx.announce(_fact(n + 1)))
    assert _verify(other).ok
    assert _flaw(other, noted) == (COUNT, "rewritten")
    other.close()


def test_a_lost_head_is_found(database):
    """Without the head a cut could not be told from the end."""
    _tamper(database, "DELETE FROM event_head")
    assert _flaw(database) == (COUNT, "no_head")


@pytest.mark.parametrize("numbers", [(3, 4), (3, 9), (1, COUNT)])
def test_moved_rows_are_found(database, numbers):
    """Two rows that changed places are named as moved, the first of them first."""
    one, other = numbers
    _tamper(database, "UPDATE events SET sequence = -1 WHERE sequence = ?", one)
    _tamper(database, "UPDATE events SET sequence = ? WHERE sequence = ?", one, other)
    _tamper(database, "UPDATE events SET sequence = ? WHERE sequence = -1", other)
    assert _flaw(database) == (one, "moved")


@pytest.mark.parametrize(
    ("sequence", "found"),
    [
        (COUNT + 1, (COUNT + 1, "moved")),
        (0, (1, "inserted")),
        (-5, (1, "inserted")),
        (None, (COUNT + 1, "inserted")),
        ("x", (COUNT + 1, "inserted")),
        (COUNT + 7, (COUNT + 1, "removed")),
    ],
)
def test_a_row_put_in_is_found(database, sequence, found):
    """Before, behind or without a number: a copied row does not pass."""
    names = ", ".join(COLUMNS[1:])
    sql = f"INSERT INTO events (sequence, {names}) SELECT ?, {names} FROM events WHERE sequence = 7"
    _tamper(database, sql, sequence)
    assert _flaw(database) == found


def test_a_forged_row_at_the_end_is_found(database):
    """A row that links and seals perfectly is still not what the head tells of."""
    head = _verify(database).head
    names = ", ".join(COLUMNS[1:-2])
    sql = (
        f"INSERT INTO events (sequence, {names}, previous, digest) "
        f"SELECT ?, {names}, ?, 'x' FROM events WHERE sequence = 7"
    )
    _tamper(database, sql, COUNT + 1, head.digest)
    _seal(database, COUNT + 1)
    assert _flaw(database) == (COUNT + 1, "inserted")


_OPERATIONS = st.one_of(
    st.tuples(st.just("edit"), st.integers(1, COUNT), st.sampled_from(COLUMNS[1:]), st.text()),
    st.tuples(st.just("delete"), st.integers(1, COUNT)),
    st.tuples(st.just("copy"), st.integers(1, COUNT), st.integers(-3, COUNT + 9)),
)


@settings(max_examples=80, deadline=None)
@given(st.lists(_OPERATIONS, min_size=1, max_size=4))
def test_whatever_changes_the_record_is_found(operations):
    """After any edits, deletions and copies the record passes only if it is what it was."""
    database = _filled()
    sql = f"SELECT {events.COLUMNS} FROM events ORDER BY sequence"
    before = database.read(lambda db: db.all(sql))
    for operation in operations:
        _apply(database, operation)
    after = database.read(lambda db: db.all(sql))
    report = _verify(database)
    assert report.ok == (before == after)
    if before != after:
        alike = [a == b for a, b in zip(before, after, strict=False)]
        first = alike.index(False) + 1 if False in alike else min(len(before), len(after)) + 1
        assert report.flaw.sequence in {first, first - 1}
    database.close()


def _apply(database, operation):
    if operation[0] == "edit":
        _, place, column, value = operation
        sql = f"UPDATE events SET {column} = ? WHERE sequence = ?"
        database.write(lambda tx: tx.run(sql, (value.replace("\ud800", ""), place)))
    elif operation[0] == "delete":
        database.write(lambda tx: tx.run("DELETE FROM events WHERE sequence = ?", operation[1:]))
    else:
        _, source, target = operation
        names = ", ".join(COLUMNS[1:])
        sql = f"INSERT OR REPLACE INTO events (sequence, {names}) SELECT ?, {names} FROM events WHERE sequence = ?"
        database.write(lambda tx: tx.run(sql, (target, source)))


def test_an_export_verifies_without_a_database(database):
    """The exported lines carry the chain; a changed, missing or moved line is named."""
    lines = database.read(lambda db: list(audit.export(SqlEventLog(db))))
    head = _verify(database).head
    assert len(lines) == COUNT
    assert json.loads(lines[0])["facts"]["number"] == 1
    assert audit.verify_export(lines, head) == audit.AuditReport(ok=True, events=COUNT, head=head)
    edited = [*lines[:6], lines[6].replace(b'"number":7', b'"number":8'), *lines[7:]]
    assert audit.verify_export(edited).flaw.sequence == 7
    assert audit.verify_export(lines[:6] + lines[7:]).flaw == audit.Flaw(
        7, "removed", "the rows 7 to 7 are not there"
    )
    assert audit.verify_export([lines[1], lines[0]]).flaw.sequence == 1
    assert audit.verify_export([b"nonsense\n"]).flaw.what == "edited"
    assert audit.verify_export(lines[:-1]).ok
    assert audit.verify_export(lines[:-1], head).flaw.what == "cut"


def test_verifying_takes_no_more_memory_for_more_events():
    """Pages of a thousand: the walk holds one of them, whatever the length of the record."""
    database = _filled(0)
    database.write(lambda tx: [tx.announce(_fact(n)) for n in range(2500)])

    class Counting(SqlEventLog):
        largest = 0

        def stored(self, after, *, limit=1000):
            found = super().stored(after, limit=limit)
            self.largest = max(self.largest, len(found))
            return found

    def work(db):
        log = Counting(db)
        return audit.verify(log), log.largest

    report, largest = database.read(work)
    assert (report.ok, report.events, largest) == (True, 2500, 1000)
    database.close()


def test_pages_of_the_log_are_newest_first(database):
    """A page shows the newest events, of one kind if asked, and goes on before its last."""

    def work(db):
        log = SqlEventLog(db)
        first = [event.sequence for event in log.newest(limit=3)]
        second = [event.sequence for event in log.newest(before=first[-1], limit=2)]
        none = log.newest(kind=EventKind("test.other"))
        return first, second, none, log.at(5).subject, log.at(99)

    assert database.read(work) == ([20, 19, 18], [17, 16], [], "run:5", None)


def test_facts_survive_the_record_to_the_letter():
    """What was announced is read back equal, and its stored text is canonical."""
    database = _filled(0)
    facts = {"b": [1, 2.5, None, "x"], "a": {"é": True}, "big": 2**63}
    fact = Fact(kind=EventKind("test.x"), subject=Ref("a:b"), facts=facts)
    database.write(lambda tx: tx.announce(fact))
    text = database.read(lambda db: db.one("SELECT facts FROM events"))[0]
    assert text.encode() == canonical_json(facts)
    assert database.read(lambda db: SqlEventLog(db).at(1)).facts == facts
    assert _verify(database).ok
    database.close()
