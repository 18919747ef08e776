"""A registry over an in-memory workspace."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from registry_workspace import Workspace, workspace_at

from mainspring.registry.service import Registry


@pytest.fixture
def ws() -> Iterator[Workspace]:
    workspace = workspace_at(":memory:")
    yield workspace
    workspace.database.close()


@pytest.fixture
def registry(ws: Workspace) -> Registry:
    return ws.registry
