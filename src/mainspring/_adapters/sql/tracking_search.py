"""Searches for runs: their cost follows what they find, not how many runs there are.

When one condition is rare (at most ``RARE`` runs meet it, counted with a bound), its runs are
checked and sorted. Else each shelf is walked in order (:mod:`.tracking_walks`), and a walk that
gets nowhere goes back to the rarest condition, so the worst search costs what the runs cost that
meet it. Everything is sorted only for orders that no index gives (end time, user, location,
identifier) when no condition narrows them, and when very many experiments are searched at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from mainspring._adapters.sql.fields import Fields, chunks, marks
from mainspring._adapters.sql.tracking_conditions import conditions, field_name
from mainspring._adapters.sql.tracking_experiments import experiment_number
from mainspring._adapters.sql.tracking_sorting import (
    Part,
    Sorting,
    sorted_all,
    sorted_from,
    sorting,
)
from mainspring._adapters.sql.tracking_sources import Sources
from mainspring._adapters.sql.tracking_walks import Walks
from mainspring.ports.database import Reader, Row
from mainspring.tracking.filters import Clause
from mainspring.tracking.matching import sort_key
from mainspring.tracking.ports import Hit, RunQuery

_MAX_WALKS: Final = 64  # shelves walked one by one; more are sorted together
_ABSENT: Final = frozenset({"IS NULL"})


def search_runs(reader: Reader, query: RunQuery, *, fields: Fields, dialect: str) -> list[Hit]:
    """The first runs of a query with their sort keys."""
    shelves = _shelves(reader, query)
    names = {field_name(c) for c in query.clauses} | {field_name(o) for o in query.orders}
    numbers = fields.existing(reader, [name for name in sorted(names) if name])
    clauses = [c for c in query.clauses if not _always(c, numbers)]
    if not shelves or any(_never(clause, numbers) for clause in clauses):
        return []
    orders = tuple(o for o in query.orders if not field_name(o) or field_name(o) in numbers)
    key = sorting(orders, numbers, dialect)

    def part(some: Sequence[int]) -> Part:
        return Part(
            conditions=conditions(clauses, some, numbers, dialect),
            orders=orders,
            after=query.after,
            limit=query.limit,
        )

    whole = part(shelves)
    sources = Sources(reader)
    source = sources.rare(whole.conditions)
    if source is not None:
        return _hits(sorted_from(reader, key, whole, source, shelves), key, query.limit)
    if len(shelves) > _MAX_WALKS:
        return _hits(sorted_all(reader, key, whole, shelves), key, query.limit)
    certain = frozenset(map(field_name, (c for c in clauses if c.op not in _ABSENT)))
    rows: list[Row] = []
    for shelf in shelves:
        walks = Walks(
            reader,
            key,
            shelf=shelf,
            numbers=numbers,
            dialect=dialect,
            certain=certain,
            sources=sources,
        )
        rows += walks.first(part([shelf]))
    return _hits(rows, key, query.limit)


def _hits(rows: Sequence[Row], key: Sorting, limit: int) -> list[Hit]:
    hits = [Hit(row[0], tuple(row[1:])) for row in rows]
    order = sort_key([column.descending for column in key.columns])
    return sorted(hits, key=lambda hit: order(hit.key))[:limit]


def _shelves(reader: Reader, query: RunQuery) -> list[int]:
    numbers = [
        n for n in map(experiment_number, dict.fromkeys(query.experiment_ids)) if n is not None
    ]
    shelves: list[int] = []
    for part in chunks(numbers):
        for number, state in reader.all(
            f"SELECT id, state FROM experiments WHERE id IN ({marks(part)}) ORDER BY id", part
        ):
            live, deleted = 2 * number, 2 * number + 1
            if query.view == "all" or (query.view == "deleted" and state == "deleted"):
                shelves += [live, deleted]
            elif query.view == "deleted":
                shelves.append(deleted)
            elif state == "active":
                shelves.append(live)
    return shelves


def _always(clause: Clause, numbers: dict[str, int]) -> bool:
    return clause.op == "IS NULL" and field_name(clause) not in numbers


def _never(clause: Clause, numbers: dict[str, int]) -> bool:
    name = field_name(clause)
    return bool(name) and name not in numbers
