"""``mainspring lineage``: what a thing came from, and what came of it.

A thing is named by its type and name, as the record writes it: model:late/3, dataset:orders@2,
features:features@1, endpoint:late. NAME/VERSION and NAME@alias are taken for models, NAME@NUMBER for a
dataset.
"""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING, Any

from mainspring._entrypoints.cli.opening import opened, recorded
from mainspring._entrypoints.cli.output import Output
from mainspring._entrypoints.cli.parser import common, count
from mainspring.core.errors import Invalid, NotFound
from mainspring.core.events import Ref

if TYPE_CHECKING:
    from mainspring._bootstrap.workspace import Workspace
    from mainspring.governance.lineage import Graph
    from mainspring.governance.ports import EventLog


def add(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``lineage``."""
    parser.add_argument("ref", metavar="REF", help="the thing, such as model:late/3")
    way = parser.add_mutually_exclusive_group()
    way.add_argument("--up", action="store_true", help="what it came from (the default)")
    way.add_argument("--down", action="store_true", help="what came of it")
    parser.add_argument("--dot", action="store_true", help="a graph for Graphviz")
    parser.add_argument("--limit", type=count, default=1000, metavar="N", help="most nodes (1000)")
    common(parser, run)


def run(arguments: argparse.Namespace, output: Output) -> int:
    """Walks the lineage graph."""
    from mainspring.governance.lineage import downstream, upstream

    if arguments.dot and output.as_json:
        raise Invalid("cli.wrong_use", "--dot and --json exclude each other.", hint="Take one.")
    walk = downstream if arguments.down else upstream
    with opened(arguments) as workspace:
        ref = _ref(workspace, arguments.ref)

        def work(log: EventLog) -> Graph:
            _need(log, ref)
            return walk(log, ref, max_nodes=arguments.limit)

        graph = recorded(workspace, work)
    if output.as_json:
        nodes = [{"ref": n.ref, "type": n.type, "steps": n.steps} for n in graph.nodes]
        output.document(
            {"ref": ref, "nodes": nodes, "edges": graph.edges, "complete": graph.complete}
        )
    elif arguments.dot:
        output.line(_dot(graph))
    else:
        _tell(graph, output, down=arguments.down)
    return 0


def _ref(workspace: Workspace, text: str) -> Ref:
    kind, colon, name = text.partition(":")
    if colon and kind and name:
        if kind == "model" and "@" in name:
            return workspace.registry.aliases.resolve(name).ref
        return Ref(text)
    name, at, number = text.rpartition("@")
    if at and number.isdigit():
        return Ref(f"dataset:{text}")
    if at or "/" in text:
        return workspace.registry.aliases.resolve(text).ref
    if text in workspace.datasets.names():
        return Ref(f"dataset:{workspace.datasets.show(text).name}")
    return workspace.registry.aliases.resolve(text).ref


def _need(log: EventLog, ref: Ref) -> None:
    roles: tuple[Any, ...] = ("subject", "generated", "used")
    if not any(log.of(ref, role, limit=1) for role in roles):
        raise NotFound(
            "governance.unknown_reference",
            f"The record knows nothing of {ref[:120]!r}.",
            hint="Write it as TYPE:NAME, such as model:late/3 or dataset:orders@2; "
            "'mainspring audit log' shows subjects.",
            ref=ref[:120],
        )


def _tell(graph: Graph, output: Output, *, down: bool) -> None:
    """The graph as a tree; what was shown before is not opened again."""
    start = graph.nodes[0].ref
    below = _below(graph, down=down)
    output.line(start)
    shown = {start}
    stack = _branches(below.get(start, {}), "")
    while stack:
        indent, last, ref, word = stack.pop()
        again = ref in shown and ref in below
        output.line(f"{indent}{'└─' if last else '├─'} {word} {ref}{' (above)' if again else ''}")
        if not again:
            shown.add(ref)
            stack += _branches(below.get(ref, {}), indent + ("   " if last else "│  "))
    output.note(f"{len(graph.nodes):,} things and activities.")
    if not graph.complete:
        output.note("There is more; --limit N shows it.")


def _below(graph: Graph, *, down: bool) -> dict[Ref, dict[Ref, str]]:
    """What is reached from each node, and how."""
    words = {"used": "used by", "wasGeneratedBy": "made"}
    if not down:
        words = {"used": "used", "wasGeneratedBy": "made by"}
    found: dict[Ref, dict[Ref, str]] = {}
    for edge in graph.edges:
        here, there = (edge.target, edge.source) if down else (edge.source, edge.target)
        found.setdefault(here, {}).setdefault(there, words[edge.relation])
    return found


def _branches(below: dict[Ref, str], indent: str) -> list[tuple[str, bool, Ref, str]]:
    """The lines below a node, the first at the end, where a stack takes from."""
    found = [(indent, False, ref, word) for ref, word in below.items()]
    if found:
        found[-1] = (indent, True, *found[-1][2:])
    return found[::-1]


def _dot(graph: Graph) -> str:
    """The graph in Graphviz's language; arrows point to what a thing rests on (PROV)."""
    lines = ["digraph lineage {", "  rankdir=RL;", "  node [fontname=sans, fontsize=10];"]
    activities = {e.source for e in graph.edges if e.relation == "used"}
    activities |= {e.target for e in graph.edges if e.relation == "wasGeneratedBy"}
    lines += [
        f"  {_text(node.ref)} [shape={'box' if node.ref in activities else 'ellipse'}];"
        for node in graph.nodes
    ]
    pairs = dict.fromkeys((e.source, e.relation, e.target) for e in graph.edges)
    lines += [f"  {_text(a)} -> {_text(b)} [label={_text(r)}];" for a, r, b in pairs]
    return "\n".join([*lines, "}"])


def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)
