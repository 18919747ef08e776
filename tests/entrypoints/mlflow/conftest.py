from __future__ import annotations

from collections.abc import Iterator

import pytest
from wire import Wire, serving


@pytest.fixture(scope="session")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving(tmp_path_factory.mktemp("workspace")) as (address, _):
        yield address


@pytest.fixture
def wire(address: str) -> Iterator[Wire]:
    wire = Wire(address)
    yield wire
    wire.http.close()
