from __future__ import annotations

from collections.abc import Iterator

import postgres
import pytest
from tracking_workspace import opened, over

from mainspring.core.ids import new_id
from mainspring.testing.clock import FakeClock
from mainspring.tracking import Tracking


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(scope="session")
def postgres_address() -> Iterator[str]:
    programs = postgres.binaries()
    if programs is None:
        pytest.skip("no PostgreSQL is installed (apt-get install postgresql)")
    with postgres.server(programs) as address:
        yield address


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.services)])
def tracking(request: pytest.FixtureRequest, clock: FakeClock) -> Iterator[Tracking]:
    """The stage on a fresh database of each kind."""
    if request.param == "sqlite":
        with opened(clock=clock) as tracking:
            yield tracking
        return
    psycopg = pytest.importorskip("psycopg")
    from mainspring._adapters.postgres.database import PostgresDatabase

    address, name = request.getfixturevalue("postgres_address"), f"test_{new_id()}"
    with psycopg.connect(f"{address}/postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    with over(PostgresDatabase(f"{address}/{name}", clock), clock) as tracking:
        yield tracking
