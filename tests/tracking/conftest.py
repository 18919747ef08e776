from __future__ import annotations

from collections.abc import Iterator

import pytest
from tracking_workspace import opened

from mainspring.testing.clock import FakeClock
from mainspring.tracking import Tracking


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def tracking(clock: FakeClock) -> Iterator[Tracking]:
    with opened(clock=clock) as tracking:
        yield tracking
