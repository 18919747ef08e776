from __future__ import annotations

from collections.abc import Iterator

import pytest
from http_probe import TOKEN, running


@pytest.fixture(scope="session")
def open_port() -> Iterator[int]:
    with running() as (port, _):
        yield port


@pytest.fixture(scope="session")
def guarded_port() -> Iterator[int]:
    with running(TOKEN) as (port, _):
        yield port
