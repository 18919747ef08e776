"""Names of metrics, parameters and tags as small integers: looked up once, then remembered."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Final, TypeVar

from mainspring.ports.database import Reader, Transaction

T = TypeVar("T")
CHUNK: Final = 500  # values bound in one statement
_REMEMBERED: Final = 200_000


def marks(values: Collection[object]) -> str:
    """As many question marks as there are values."""
    return ",".join("?" * len(values))


def chunks(values: Sequence[T]) -> Iterator[Sequence[T]]:
    """The values in parts that fit into one statement."""
    for start in range(0, len(values), CHUNK):
        yield values[start : start + CHUNK]


class Fields:
    """The table of names with a memory of those that are known to be durable.

    A name's number found inside a transaction may still be undone with it, so the memory takes
    only what a durable transaction found (:meth:`learn`) or a reader saw.
    """

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._names: dict[int, str] = {}

    def numbers(self, tx: Transaction, names: Collection[str]) -> dict[str, int]:
        """The number of each name; new names get one."""
        known = self._numbers
        found = {name: known[name] for name in names if name in known}
        missing = [name for name in names if name not in found]
        if missing:
            looked_up = self._look_up(tx, missing)
            new = [name for name in missing if name not in looked_up]
            if new:
                tx.many(
                    "INSERT INTO fields (name) VALUES (?) ON CONFLICT (name) DO NOTHING",
                    [(name,) for name in new],
                )
                looked_up |= self._look_up(tx, new)
            found |= looked_up
        return found

    def existing(self, reader: Reader, names: Collection[str]) -> dict[str, int]:
        """The numbers of those names that are in use."""
        known = self._numbers
        found = {name: known[name] for name in names if name in known}
        looked_up = self._look_up(reader, [name for name in names if name not in found])
        self.learn(looked_up)
        return found | looked_up

    def names(self, reader: Reader, numbers: Collection[int]) -> Mapping[int, str]:
        """The names of these numbers."""
        known = self._names
        found = {number: known[number] for number in numbers if number in known}
        for part in chunks([number for number in numbers if number not in found]):
            rows = reader.all(f"SELECT id, name FROM fields WHERE id IN ({marks(part)})", part)
            found.update(rows)
            self.learn({name: number for number, name in rows})
        return found

    def learn(self, numbers: Mapping[str, int]) -> None:
        """Keeps durable names."""
        if numbers.keys() <= self._numbers.keys():
            return
        if len(self._numbers) > _REMEMBERED:
            self._numbers, self._names = {}, {}
        self._numbers.update(numbers)
        self._names.update({number: name for name, number in numbers.items()})

    @staticmethod
    def _look_up(reader: Reader, names: Sequence[str]) -> dict[str, int]:
        found: dict[str, int] = {}
        for part in chunks(names):
            sql = f"SELECT name, id FROM fields WHERE name IN ({marks(part)})"
            found.update(reader.all(sql, part))
        return found
