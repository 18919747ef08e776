"""What a thing came from and what came of it, as rows with links."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from mainspring._entrypoints.ui.rendering import address
from mainspring.core.errors import Invalid, NotFound
from mainspring.core.events import Ref
from mainspring.governance import Graph, downstream, upstream
from mainspring.governance.service import Record
from mainspring.tracking import Tracking

MAX_NODES: Final = 60


class Relative(msgspec.Struct, frozen=True):
    """A thing in the lineage of another: what it is, how far away, and its page if it has one."""

    type: str
    name: str
    steps: int
    href: str


class Lineage(msgspec.Struct, frozen=True):
    """Both ways from one thing; ``complete`` is False when more is on record than is shown."""

    above: tuple[Relative, ...]
    below: tuple[Relative, ...]
    complete: bool


def tracked(tracking: Tracking, run_ids: Iterable[str | None]) -> frozenset[str]:
    """Those of some runs that have a page. A project's own training is on record, and has none."""

    def has_page(run_id: str) -> bool:
        try:
            tracking.runs.get(run_id)
        except (NotFound, Invalid):
            return False
        return True

    return frozenset(run_id for run_id in set(run_ids) if run_id and has_page(run_id))


def lineage_of(record: Record, ref: Ref, tracking: Tracking) -> Lineage:
    """The nearest things both ways, read from one snapshot and bounded."""

    def walk(way: object) -> Graph:
        return record.database.read(
            lambda db: (upstream if way == "up" else downstream)(
                record.log(db), ref, max_nodes=MAX_NODES
            )
        )

    up, down = walk("up"), walk("down")
    above, below = _relatives(up, tracking), _relatives(down, tracking)
    return Lineage(above, below, up.complete and down.complete)


def _relatives(graph: Graph, tracking: Tracking) -> tuple[Relative, ...]:
    near = [(node, node.ref.partition(":")[2]) for node in graph.nodes if node.steps]
    pages = tracked(tracking, (name for node, name in near if node.type == "run"))
    return tuple(
        Relative(
            node.type.replace("_", "-"),
            name,
            node.steps,
            "" if node.type == "run" and name not in pages else href_of(node.ref),
        )
        for node, name in near
    )


def href_of(ref: str) -> str:
    """The page of a thing; empty when it has none."""
    kind, _, name = ref.partition(":")
    if kind == "run":
        return address("runs", name)
    if kind == "experiment":
        return address("", experiment=name)
    if kind == "model":
        model, _, version = name.rpartition("/")
        return address("models", model, version) if model else address("models", name)
    if kind == "alias":
        return address("models", name.rpartition("@")[0])
    return ""
