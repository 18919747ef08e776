from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.postgres_server import PostgresServer, running
from tracking_workspace import opened, over

from mainspring.testing.clock import FakeClock
from mainspring.tracking import Tracking


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    with running(fsync=False) as server:
        yield server


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.services)])
def tracking(request: pytest.FixtureRequest, clock: FakeClock) -> Iterator[Tracking]:
    """The stage on a fresh database of each kind."""
    if request.param == "sqlite":
        with opened(clock=clock) as tracking:
            yield tracking
        return
    from mainspring._adapters.postgres.database import PostgresDatabase

    address = request.getfixturevalue("postgres").fresh()
    with over(PostgresDatabase(address, clock), clock) as tracking:
        yield tracking
