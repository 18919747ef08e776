"""Public: a conformance suite for each port, an in-memory workspace, a clock one can set.

An adapter's test inherits the suite of its port and gives the fixtures that the suite names::

    class TestFileObjects(ObjectsSuite):
        @pytest.fixture
        def objects(self, tmp_path):
            return FileObjects(tmp_path)

Names are loaded when they are first used, so that a test pays for the parts it asks for.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mainspring.testing.clock import ClockSuite, FakeClock
    from mainspring.testing.compute_suite import ComputeSuite
    from mainspring.testing.database_suite import DatabaseSuite
    from mainspring.testing.objects import MemoryObjects
    from mainspring.testing.objects_suite import ObjectsSuite
    from mainspring.testing.queue_suite import QueueSuite
    from mainspring.testing.runtime_suite import RuntimeSuite, Sample
    from mainspring.testing.tables_suite import TablesSuite
    from mainspring.testing.workspace import MemoryPorts, memory_ports

__all__ = [
    "ClockSuite",
    "ComputeSuite",
    "DatabaseSuite",
    "FakeClock",
    "MemoryObjects",
    "MemoryPorts",
    "ObjectsSuite",
    "QueueSuite",
    "RuntimeSuite",
    "Sample",
    "TablesSuite",
    "memory_ports",
]
_HOMES = {
    "ClockSuite": "clock",
    "ComputeSuite": "compute_suite",
    "DatabaseSuite": "database_suite",
    "FakeClock": "clock",
    "MemoryObjects": "objects",
    "MemoryPorts": "workspace",
    "ObjectsSuite": "objects_suite",
    "QueueSuite": "queue_suite",
    "RuntimeSuite": "runtime_suite",
    "Sample": "runtime_suite",
    "TablesSuite": "tables_suite",
    "memory_ports": "workspace",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
