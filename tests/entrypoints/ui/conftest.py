from __future__ import annotations

from collections.abc import Iterator

import pytest
from pages_workspace import Site, fill, site


@pytest.fixture
def empty() -> Iterator[Site]:
    with site() as found:
        yield found


@pytest.fixture(scope="session")
def filled() -> Iterator[tuple[Site, list[str]]]:
    with site() as found:
        yield found, fill(found)
