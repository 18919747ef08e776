"""Proof: what happened, what rests on what, and that nobody changed the record since.

Every stage announces its facts in the transaction of its change; governance only reads them.
:func:`verify` walks the hash chain and names the first row that is not what was written.
:func:`upstream` and :func:`downstream` walk the lineage graph, in the words of W3C PROV, from any
dataset version, run, model version or release. :mod:`~mainspring.governance.fairness` compares
a model's errors between groups.
"""

from __future__ import annotations

from mainspring.governance.audit import AuditReport, Flaw, export, verify, verify_export
from mainspring.governance.lineage import (
    Edge,
    Graph,
    Node,
    check_index,
    downstream,
    rebuild_index,
    upstream,
)
from mainspring.governance.ports import EventLog, Head

__all__ = [
    "AuditReport",
    "Edge",
    "EventLog",
    "Flaw",
    "Graph",
    "Head",
    "Node",
    "check_index",
    "downstream",
    "export",
    "rebuild_index",
    "upstream",
    "verify",
    "verify_export",
]
