"""The pages: runs, comparisons and models for a browser, made whole on the server.

They work without JavaScript, except charts. Every text from the outside is escaped by the template
engine and shown literally; no page holds a script or a style of its own, so the policy
(``script-src 'self'; style-src 'self'``) leaves nothing to inject into.
"""

from __future__ import annotations

from mainspring._entrypoints._http import Mount
from mainspring._entrypoints.ui.artifacts import ArtifactPages
from mainspring._entrypoints.ui.assets import asset_routes
from mainspring._entrypoints.ui.compare import ComparePages
from mainspring._entrypoints.ui.components import component_routes
from mainspring._entrypoints.ui.models import ModelPages
from mainspring._entrypoints.ui.rendering import HTML, encode_error
from mainspring._entrypoints.ui.runs import RunPages
from mainspring._entrypoints.ui.runs_table import RunsTablePages
from mainspring._entrypoints.ui.traces import TracePages
from mainspring.governance.service import Record
from mainspring.registry import Registry
from mainspring.tracking import Tracking


def pages_mount(tracking: Tracking, registry: Registry, record: Record) -> Mount:
    """Every page over the stages it shows; what no other mount knows is a page that says so."""
    routes = [
        *RunsTablePages(tracking).routes(),
        *RunPages(tracking, registry, record).routes(),
        *ArtifactPages(tracking).routes(),
        *ComparePages(tracking).routes(),
        *TracePages(tracking).routes(),
        *ModelPages(registry, record, tracking).routes(),
        *component_routes(),
        *asset_routes(),
    ]
    return Mount(tuple(routes), ("/",), encode_error, HTML)


__all__ = ["pages_mount"]
