"""Worker processes of this machine."""

from __future__ import annotations

import pytest

from mainspring._adapters.process.compute import LocalProcesses
from mainspring.testing import ComputeSuite


class TestLocalProcesses(ComputeSuite):
    @pytest.fixture
    def compute(self):
        processes = LocalProcesses(2)
        yield processes
        processes.close()
