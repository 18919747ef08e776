"""A process that writes and says on standard output what was acknowledged, until it is killed.

``writer.py FOLDER KIND``: KIND is ``database`` (8 threads), ``objects``, ``tables`` or ``queue``.
"""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

from mainspring._adapters.clock import SystemClock
from mainspring._adapters.delta.tables import DeltaTables
from mainspring._adapters.files.objects import FileObjects
from mainspring._adapters.sql.queue import SqlQueue
from mainspring._adapters.sqlite.database import SqliteDatabase
from mainspring.core.errors import MainspringError
from mainspring.core.events import EventKind, Fact, Ref


def say(*words: object) -> None:
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


def fact(number: int) -> Fact:
    return Fact(kind=EventKind("test.wrote"), subject=Ref(f"n:{number}"), facts={"n": number})


def write_rows(folder: Path, first: int) -> None:
    database = SqliteDatabase(folder / "db", SystemClock())
    database.migrate()
    database.write(lambda tx: tx.run("CREATE TABLE IF NOT EXISTS t (n INTEGER)"))
    say("ready")
    numbers = iter(range(first, first + 10**6))
    lock = threading.Lock()

    def work() -> None:
        while True:
            with lock:
                number = next(numbers)

            def add(tx, number=number):
                tx.run("INSERT INTO t (n) VALUES (?)", (number,))
                return tx.announce(fact(number))

            say(number, database.write(add))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    threads[0].join()


def write_objects(folder: Path, first: int) -> None:
    objects = FileObjects(folder / "objects")
    say("ready")
    for number in range(first, first + 10**6):
        say(number, objects.put([str(number).encode() * 20_000]))


def write_tables(folder: Path, first: int) -> None:
    import numpy as np

    tables = DeltaTables(folder / "tables")
    say("ready")
    for number in range(first, first + 10**6):
        rows = {"n": np.full(1000, number)}
        say(number, tables.append("t", rows, token=f"token {number}"))


def hold_job(folder: Path, _first: int) -> None:
    database = SqliteDatabase(folder / "db", SystemClock())
    queue = SqlQueue(database, SystemClock())
    lease = queue.take("worker", ("job",), seconds=60)
    say("ready")
    sys.stdin.readline()

    def finish(tx):
        tx.run("INSERT INTO t (n) VALUES (1)")
        queue.complete(tx, lease, {"by": "worker"})

    try:
        database.write(finish)
        say("written")
    except MainspringError as error:
        say(error.code)


KINDS = {
    "database": write_rows,
    "objects": write_objects,
    "tables": write_tables,
    "queue": hold_job,
}

if __name__ == "__main__":
    KINDS[sys.argv[2]](Path(sys.argv[1]), int(sys.argv[3]) if len(sys.argv) > 3 else 0)
