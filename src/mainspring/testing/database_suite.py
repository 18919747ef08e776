"""What every implementation of the database port must keep."""
# ruff: noqa: PLR2004 - the numbers of a test case are its own names

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from mainspring.core.actor import Actor
from mainspring.core.events import GENESIS, EventKind, Fact, Ref
from mainspring.ports.database import Database, Reader, Transaction
from mainspring.testing.promises import ensure, refused

TABLE = "CREATE TABLE numbers (n INTEGER PRIMARY KEY, said TEXT)"
INSERT = "INSERT INTO numbers (n, said) VALUES (?, ?)"


class StopError(Exception):
    """What work raises in these tests."""


def fact(number: int = 0) -> Fact:
    """A fact to announce."""
    return Fact(kind=EventKind("test.happened"), subject=Ref("test:x"), facts={"number": number})


def numbers(database: Database) -> list[int]:
    """What the table holds."""
    return [row[0] for row in database.read(lambda db: db.all("SELECT n FROM numbers ORDER BY n"))]


def add(database: Database, number: int) -> int:
    """Writes one number."""
    return database.write(lambda tx: tx.run(INSERT, (number, "x")))


class DatabaseSuite:
    """Inherit, and give ``database``: migrated, otherwise empty, closed by the fixture."""

    def test_what_is_written_is_read(self, database: Database) -> None:
        """A write is there for every read after it; values keep their types, text its letters."""
        database.write(lambda tx: tx.run(TABLE))
        ensure(add(database, 2**31 - 1) == 1)
        database.write(lambda tx: tx.many(INSERT, [(2, "é%?'"), (3, None)]))
        rows = database.read(lambda db: db.all("SELECT n, said FROM numbers ORDER BY n"))
        ensure(rows == [(2, "é%?'"), (3, None), (2**31 - 1, "x")], rows)
        ensure(database.read(lambda db: db.one("SELECT n FROM numbers WHERE n = 9")) is None)
        ensure(database.read(lambda db: db.one("SELECT '?' AS a, ? AS b", ("v",))) == ("?", "v"))

    def test_work_that_raises_undoes_itself_only(self, database: Database) -> None:
        """Its error reaches the caller, its changes do not stay, its neighbours' do."""
        database.write(lambda tx: tx.run(TABLE))

        def bad(tx: Transaction) -> None:
            tx.run(INSERT, (1, "bad"))
            tx.announce(fact())
            raise StopError

        def act(number: int) -> str:
            try:
                database.write(bad if number % 3 == 0 else lambda tx: tx.run(INSERT, (number, "")))
            except StopError:
                return "stopped"
            return "written"

        with ThreadPoolExecutor(16) as pool:
            said = list(pool.map(act, range(60, 160)))
        ensure(said == ["stopped" if n % 3 == 0 else "written" for n in range(60, 160)])
        ensure(numbers(database) == [n for n in range(60, 160) if n % 3])
        ensure(database.read(lambda db: db.one("SELECT count(*) FROM events")) == (0,))

    def test_a_mistake_in_a_statement_undoes_itself_only(self, database: Database) -> None:
        """A constraint that is hurt, or SQL that is wrong, fails its own work and no other."""
        database.write(lambda tx: tx.run(TABLE))

        def act(number: int) -> bool:
            try:
                if number % 4 == 0:
                    database.write(lambda tx: tx.run("INSERT INTO nowhere VALUES (1)"))
                add(database, number // 2)
            except Exception:  # noqa: BLE001 - the driver's own, of whichever database
                return False
            return True

        with ThreadPoolExecutor(16) as pool:
            written = sum(pool.map(act, range(80)))
        found = numbers(database)
        ensure(len(found) == len(set(found)) == written, (written, found))
        ensure(set(range(40)) - set(found) == set(), found)

    def test_submitted_work_runs_in_the_order_of_arrival(self, database: Database) -> None:
        """Each piece of work sees all that came before it."""
        database.write(lambda tx: tx.run(TABLE))

        def count_then_add(tx: Transaction) -> int:
            found = tx.one("SELECT count(*) FROM numbers")
            ensure(found is not None)
            count = int(found[0]) if found else 0
            tx.run(INSERT, (count, "x"))
            return count

        futures = [database.submit(count_then_add) for _ in range(200)]
        ensure([future.result(30) for future in futures] == list(range(200)))

    def test_sixteen_threads_lose_nothing(self, database: Database) -> None:
        """Every acknowledged write is there, once; the record numbers them without a gap."""
        database.write(lambda tx: tx.run(TABLE))

        def act(number: int) -> int:
            def work(tx: Transaction) -> int:
                tx.run(INSERT, (number, "x"))
                return tx.announce(fact(number))

            return database.write(work)

        with ThreadPoolExecutor(16) as pool:
            sequences = list(pool.map(act, range(400)))
        ensure(numbers(database) == list(range(400)))
        ensure(sorted(sequences) == list(range(1, 401)))

    def test_a_read_sees_one_moment(self, database: Database) -> None:
        """Within one read all queries see the same state, whatever is written meanwhile."""
        database.write(lambda tx: tx.run(TABLE))
        stop = threading.Event()

        def write() -> None:
            for number in range(0, 400, 2):
                if stop.is_set():
                    return
                database.write(lambda tx, n=number: tx.many(INSERT, [(n, ""), (n + 1, "")]))  # type: ignore[misc]

        def look(db: Reader) -> tuple[int, int]:
            first = db.one("SELECT count(*) FROM numbers")
            second = db.one("SELECT count(*) FROM numbers")
            return (first or (0,))[0], (second or (1,))[0]

        thread = threading.Thread(target=write)
        thread.start()
        try:
            for _ in range(50):
                first, second = database.read(look)
                ensure(first == second and first % 2 == 0, (first, second))
        finally:
            stop.set()
            thread.join()

    def test_reading_cannot_write(self, database: Database) -> None:
        """What a read does to the data does not stay."""
        database.write(lambda tx: tx.run(TABLE))
        with suppress(Exception):  # refusing is one way to keep the promise
            database.read(lambda db: db.all("INSERT INTO numbers (n) VALUES (1)"))
        ensure(numbers(database) == [])

    def test_facts_are_chained(self, database: Database) -> None:
        """Each event carries the digest of the one before, its actor and its references."""

        def work(tx: Transaction) -> list[int]:
            one = Fact(
                kind=EventKind("test.made"),
                subject=Ref("run:1"),
                facts={"b": [1.5, None], "a": "é"},
                used=(Ref("dataset:d@1"),),
                generated=(Ref("model:m/1"),),
                actor=Actor("ada"),
            )
            return [tx.announce(one), tx.announce(fact())]

        ensure(database.write(work) == [1, 2])
        sql = "SELECT sequence, actor, facts, previous, digest FROM events ORDER BY sequence"
        first, second = database.read(lambda db: db.all(sql))
        ensure(first[:3] == (1, "person:ada", '{"a":"é","b":[1.5,null]}'), first)
        ensure((first[3], second[3]) == (GENESIS, first[4]))
        refs = database.read(
            lambda db: db.all("SELECT ref, role FROM event_refs WHERE sequence = 1")
        )
        wanted = {("dataset:d@1", "used"), ("model:m/1", "generated"), ("run:1", "subject")}
        ensure(set(refs) == wanted, refs)

    def test_work_that_waits_for_other_work_is_refused(self, database: Database) -> None:
        """Instead of waiting for itself for ever."""
        act = lambda: database.write(lambda _tx: database.write(lambda tx: tx.run(TABLE)))  # noqa: E731
        ensure(refused(act) == "database.nested")

    def test_migrating_twice_does_nothing(self, database: Database) -> None:
        """The schema is brought up once; asking again applies none."""
        ensure(database.migrate() == 0)

    def test_a_sound_database_has_nothing_to_say(self, database: Database) -> None:
        """Checking a healthy database finds nothing wrong, and recovering does no harm."""
        ensure(database.check() == [])
        database.recover()
        database.write(lambda tx: tx.run(TABLE))

    def test_closing_finishes_accepted_work(self, database: Database) -> None:
        """What was accepted before is written; what comes later is refused; twice is harmless."""
        futures = [database.submit(lambda tx: tx.announce(fact())) for _ in range(50)]
        database.close()
        ensure([future.result(30) for future in futures] == list(range(1, 51)))
        ensure(refused(database.write, lambda tx: tx.run(TABLE)) == "database.unavailable")
        ensure(refused(database.read, lambda db: db.all("SELECT 1")) == "database.unavailable")
        database.close()
