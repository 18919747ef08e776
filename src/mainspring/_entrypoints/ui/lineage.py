"""What a thing came from and what came of it, as rows with links."""

from __future__ import annotations

from typing import Final

import msgspec

from mainspring._entrypoints.ui.rendering import address
from mainspring.core.events import Ref
from mainspring.governance import Graph, downstream, upstream
from mainspring.governance.service import Record

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


def lineage_of(record: Record, ref: Ref) -> Lineage:
    """The nearest things both ways, read from one snapshot and bounded."""

    def walk(way: object) -> Graph:
        return record.database.read(
            lambda db: (upstream if way == "up" else downstream)(
                record.log(db), ref, max_nodes=MAX_NODES
            )
        )

    up, down = walk("up"), walk("down")
    return Lineage(_relatives(up), _relatives(down), up.complete and down.complete)


def _relatives(graph: Graph) -> tuple[Relative, ...]:
    return tuple(
        Relative(node.type, node.ref.partition(":")[2], node.steps, href_of(node.ref))
        for node in graph.nodes
        if node.steps
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
