"""Tests that run where Ray is installed: in an environment of its own."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

from mainspring._adapters.ray.compute import RayProcesses

collect_ignore_glob = [] if find_spec("ray") else ["test_*.py"]


@pytest.fixture(scope="session")
def ray_processes():
    """A Ray of two processors on this machine, for all tests."""
    processes = RayProcesses(2)
    yield processes
    processes.close()
