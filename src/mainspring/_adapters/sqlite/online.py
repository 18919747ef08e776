"""The newest features of each entity in one SQLite file of their own.

A publication is written under its own number and becomes visible with one small update, so readers
never wait for it; the one before is removed afterwards.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Final, TypeVar

from mainspring._adapters.sqlite.connection import connect, translate
from mainspring.core.errors import Unavailable
from mainspring.ports.online import Found, Published

T = TypeVar("T")

_TABLES: Final = """
CREATE TABLE IF NOT EXISTS plans (recipe TEXT PRIMARY KEY, plan BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS views (
  id INTEGER PRIMARY KEY, recipe TEXT NOT NULL, view TEXT NOT NULL, as_of_micros INTEGER NOT NULL,
  entities INTEGER NOT NULL, is_newest INTEGER NOT NULL
);
CREATE UNIQUE INDEX IF NOT EXISTS views_newest ON views (recipe, view) WHERE is_newest = 1;
CREATE TABLE IF NOT EXISTS entities (
  view_id INTEGER NOT NULL, entity TEXT NOT NULL, data BLOB NOT NULL, PRIMARY KEY (view_id, entity)
) WITHOUT ROWID;
"""
_ROWS_PER_WRITE: Final = 5_000
_KEYS_PER_READ: Final = 500


class SqliteOnline:
    """:class:`mainspring.ports.online.Online` in one file."""

    def __init__(self, file: str) -> None:
        self._turn = threading.Lock()
        with _errors():
            self._connection = connect(file)
            self._connection.executescript(_TABLES)

    def describe(self, recipe: str, plan: bytes) -> None:
        with self._turn, _errors():
            self._connection.execute("REPLACE INTO plans VALUES (?, ?)", (recipe, plan))

    def plan(self, recipe: str) -> bytes | None:
        with self._turn, _errors():
            row = self._connection.execute(
                "SELECT plan FROM plans WHERE recipe = ?", (recipe,)
            ).fetchone()
        return None if row is None else bytes(row[0])

    def publish(
        self, recipe: str, view: str, entities: Iterable[tuple[str, bytes]], *, as_of_micros: int
    ) -> bool:
        with self._turn, _errors():
            number, count = self._begin(recipe, view, as_of_micros), 0
            for some in _portions(entities, _ROWS_PER_WRITE):
                # Small transactions: a reader's snapshot, and another writer, wait for no one.
                self._connection.execute("BEGIN IMMEDIATE")
                self._connection.executemany(
                    "INSERT INTO entities VALUES (?, ?, ?)",
                    [(number, entity, data) for entity, data in some],
                )
                self._connection.execute("COMMIT")
                count += len(some)
            taken = self._reveal(number, recipe, view, count)
            self._clean(recipe, view)
        return taken

    def find(self, recipe: str, view: str, keys: Sequence[str]) -> Found | None:
        with self._turn, _errors():
            # One read transaction: the number found first is not removed before its rows are read.
            self._connection.execute("BEGIN")
            try:
                row = self._connection.execute(
                    "SELECT id, as_of_micros FROM views "
                    "WHERE recipe = ? AND view = ? AND is_newest = 1",
                    (recipe, view),
                ).fetchone()
                if row is None:
                    return None
                found: dict[str, bytes] = {}
                for some in _portions(dict.fromkeys(keys), _KEYS_PER_READ):
                    marks = ", ".join("?" * len(some))
                    found |= self._connection.execute(
                        "SELECT entity, data FROM entities "
                        f"WHERE view_id = ? AND entity IN ({marks})",
                        (row[0], *some),
                    ).fetchall()
            finally:
                self._connection.execute("COMMIT")
        return Found(row[1], tuple(found.get(key) for key in keys))

    def views(self, recipe: str) -> list[Published]:
        with self._turn, _errors():
            rows = self._connection.execute(
                "SELECT view, as_of_micros, entities FROM views "
                "WHERE recipe = ? AND is_newest = 1 ORDER BY view",
                (recipe,),
            ).fetchall()
        return [Published(*row) for row in rows]

    def close(self) -> None:
        with self._turn, _errors():
            self._connection.close()

    # -- inside -------------------------------------------------------------------------------

    def _begin(self, recipe: str, view: str, as_of_micros: int) -> int:
        row = self._connection.execute(
            "INSERT INTO views (recipe, view, as_of_micros, entities, is_newest) "
            "VALUES (?, ?, ?, 0, 0) RETURNING id",
            (recipe, view, as_of_micros),
        ).fetchone()
        return int(row[0])

    def _reveal(self, number: int, recipe: str, view: str, count: int) -> bool:
        self._connection.execute("BEGIN IMMEDIATE")
        later = self._connection.execute(
            "SELECT 1 FROM views old JOIN views new ON new.id = ? WHERE old.recipe = ? "
            "AND old.view = ? AND old.is_newest = 1 AND old.as_of_micros > new.as_of_micros",
            (number, recipe, view),
        ).fetchone()
        if later is None:
            self._connection.execute(
                "UPDATE views SET is_newest = 0 WHERE recipe = ? AND view = ? AND is_newest = 1",
                (recipe, view),
            )
            self._connection.execute(
                "UPDATE views SET is_newest = 1, entities = ? WHERE id = ?", (count, number)
            )
        self._connection.execute("COMMIT")
        return later is None

    def _clean(self, recipe: str, view: str) -> None:
        """Removes publications older than the newest: those it replaced, and torn ones."""
        self._connection.execute("BEGIN IMMEDIATE")
        old = (
            "SELECT id FROM views WHERE recipe = ? AND view = ? AND is_newest = 0 AND id < "
            "(SELECT id FROM views WHERE recipe = ? AND view = ? AND is_newest = 1)"
        )
        keys = (recipe, view, recipe, view)
        self._connection.execute(f"DELETE FROM entities WHERE view_id IN ({old})", keys)
        self._connection.execute(f"DELETE FROM views WHERE id IN ({old})", keys)
        self._connection.execute("COMMIT")


def _portions(values: Iterable[T], size: int) -> Iterator[list[T]]:
    rest = iter(values)
    while some := list(islice(rest, size)):
        yield some


@contextmanager
def _errors() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        known = translate(error)
        if known is not None:
            raise known from error
        raise Unavailable(
            "database.unavailable",
            f"The online features cannot be read or written ({error}).",
            hint="See whether their file is in the workspace and nobody holds it; try again.",
        ) from error
