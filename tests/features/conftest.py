"""A workshop on in-memory ports."""

from __future__ import annotations

import pytest
from feature_workshop import Workshop

from mainspring.testing import memory_ports


@pytest.fixture
def workshop(tmp_path):
    with memory_ports() as ports:
        yield Workshop(ports, tmp_path)
