"""What something was made from, and what was made from it: a graph read off the record.

The subject of an event is an activity, which used and generated things (W3C PROV-DM, sections 5.1.3
and 5.1.4). Time bounds the walk: what an activity used *after* it generated a thing is not
upstream of that thing, and what it generated before it used one is not downstream of that one.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from typing import Final, Literal

import msgspec

from mainspring.core.events import Event, EventKind, Ref
from mainspring.governance.ports import EventLog, Reference, ReferenceIndex

MAX_NODES: Final = 10_000
_PAGE: Final = 1000


class Node(msgspec.Struct, frozen=True):
    """A thing or an activity, and how many steps it lies from where the walk began."""

    ref: Ref
    steps: int

    @property
    def type(self) -> str:
        """The kind of thing: what stands before the colon."""
        return self.ref.partition(":")[0]


class Edge(msgspec.Struct, frozen=True):
    """One relation in PROV's words, with the event that tells of it.

    ``used``: the activity ``source`` used ``target``. ``wasGeneratedBy``: the thing ``source`` was
    made by the activity ``target``. Both point from the later to what it rests on.
    """

    source: Ref
    relation: Literal["used", "wasGeneratedBy"]
    target: Ref
    sequence: int
    kind: EventKind
    actor: str


class Graph(msgspec.Struct, frozen=True):
    """The nodes reached, nearest first, and the edges between them, oldest first.

    ``complete`` is False when the walk stopped at its limit of nodes.
    """

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    complete: bool


def upstream(log: EventLog, ref: Ref, *, max_nodes: int = MAX_NODES) -> Graph:
    """What a thing or activity rests on, down to what was made by nobody we know."""
    return _walk(_Upstream(log), ref, max_nodes)


def downstream(log: EventLog, ref: Ref, *, max_nodes: int = MAX_NODES) -> Graph:
    """What rests on a thing or activity: where a bad row, model or person's data has gone."""
    return _walk(_Downstream(log), ref, max_nodes)


class _Upstream:
    """Steps towards what was there before; a node counts up to the event by which it was reached."""

    start: Final = 2**62
    sign: Final = -1  # the latest bound first: it lets most through

    def __init__(self, log: EventLog) -> None:
        self._log = log

    def steps(self, ref: Ref, bound: int) -> Iterator[tuple[Edge, Ref]]:
        for event in _pages(self._log, ref, ("generated", None), (0, bound)):
            if event.subject != ref:
                yield _edge(ref, "wasGeneratedBy", event.subject, event), event.subject
        for event in _pages(self._log, ref, ("subject", "used"), (0, bound)):
            for used in event.used:
                yield _edge(ref, "used", used, event), used


class _Downstream:
    """Steps towards what came after; a node counts from the event by which it was reached."""

    start: Final = 0
    sign: Final = 1

    def __init__(self, log: EventLog) -> None:
        self._log = log

    def steps(self, ref: Ref, bound: int) -> Iterator[tuple[Edge, Ref]]:
        for event in _pages(self._log, ref, ("used", None), (bound, 2**62)):
            if event.subject != ref:
                yield _edge(event.subject, "used", ref, event), event.subject
        for event in _pages(self._log, ref, ("subject", "generated"), (bound, 2**62)):
            for made in event.generated:
                yield _edge(made, "wasGeneratedBy", ref, event), made


def _walk(way: _Upstream | _Downstream, ref: Ref, max_nodes: int) -> Graph:
    """Visits each node once, with the bound that lets most through (Dijkstra's order), so a cycle ends."""
    waiting: list[tuple[int, int, Ref]] = [(way.sign * way.start, 0, ref)]
    steps: dict[Ref, int] = {}
    edges: set[Edge] = set()
    while waiting and len(steps) < max_nodes:
        signed_bound, away, here = heapq.heappop(waiting)
        if here in steps:
            continue
        steps[here] = away
        for edge, there in way.steps(here, way.sign * signed_bound):
            edges.add(edge)
            if there not in steps:
                heapq.heappush(waiting, (way.sign * edge.sequence, away + 1, there))
    complete = all(there in steps for _, _, there in waiting)
    nodes = sorted((Node(found, away) for found, away in steps.items()), key=_node_order)
    inside = [edge for edge in edges if edge.source in steps and edge.target in steps]
    return Graph(tuple(nodes), tuple(sorted(inside, key=_edge_order)), complete)


def _node_order(node: Node) -> tuple[int, str]:
    return node.steps, node.ref


def _edge_order(edge: Edge) -> tuple[int, str, str]:
    return edge.sequence, edge.source, edge.target


def _edge(
    source: Ref, relation: Literal["used", "wasGeneratedBy"], target: Ref, event: Event
) -> Edge:
    return Edge(source, relation, target, event.sequence, event.kind, event.actor)


def _pages(
    log: EventLog,
    ref: Ref,
    role: tuple[Literal["used", "generated", "subject"], Literal["used", "generated"] | None],
    between: tuple[int, int],
) -> Iterator[Event]:
    first, last = between
    while True:
        page = log.of(ref, role[0], first=first, last=last, naming=role[1], limit=_PAGE)
        yield from page
        if len(page) < _PAGE:
            return
        first = page[-1].sequence + 1


def expected_references(event: Event) -> set[Reference]:
    """The rows of the reference index that an event stands for."""
    rows: set[Reference] = {(ref, "used", event.sequence) for ref in event.used}
    rows |= {(ref, "generated", event.sequence) for ref in event.generated}
    rows.add((event.subject, "subject", event.sequence))
    return rows


def check_index(log: EventLog) -> list[str]:
    """What is wrong with the reference index, at most twenty lines; empty when nothing is."""
    problems: list[str] = []
    total = 0
    last = 0
    while (batch := log.after(last)) and len(problems) < 20:  # noqa: PLR2004 - enough to see by
        wanted = {row for event in batch for row in expected_references(event)}
        found = set(log.references(last + 1, batch[-1].sequence))
        total += len(found)
        problems += [
            f"missing: {row[1]} {row[0]} of event {row[2]}" for row in sorted(wanted - found)
        ]
        problems += [
            f"unknown: {row[1]} {row[0]} of event {row[2]}" for row in sorted(found - wanted)
        ]
        last = batch[-1].sequence
    strays = log.count_references() - total
    if strays and not problems:
        problems.append(f"unknown: {strays} references of events that do not exist")
    return problems[:20]


def rebuild_index(index: ReferenceIndex) -> int:
    """Makes the reference index anew from the events; how many were read. Run in one transaction."""
    index.forget_references()
    last = count = 0
    while batch := index.after(last):
        index.index(batch)
        count += len(batch)
        last = batch[-1].sequence
    return count
