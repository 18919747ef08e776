"""How a table is divided when the project names no stretches."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from mainspring.training.table import TrainingTable, split
from mainspring.training.types import Split

START = np.datetime64("2026-01-01", "us")
DAYS = 180


def hourly_rows(wait: timedelta) -> TrainingTable:
    predicted = START + np.arange(DAYS * 24) * np.timedelta64(1, "h")
    count = len(predicted)
    return TrainingTable(
        inputs={},
        target=np.zeros(count),
        keys=np.arange(count),
        predicted_at=predicted,
        known_at=predicted + np.timedelta64(wait),
        groups={},
    )


@pytest.mark.parametrize("wait", [timedelta(hours=2), timedelta(days=21)])
def test_default_stretches_keep_their_share_however_late_labels_are(wait: timedelta) -> None:
    """Each held-back part has about 15 % of the rows, also when labels come three weeks late."""
    rows = hourly_rows(wait)
    until = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=DAYS) + wait
    parts = split(rows, Split(), until=until).summary
    assert parts.test == pytest.approx(0.15 * len(rows), rel=0.05)
    assert parts.validation == pytest.approx(0.15 * len(rows), rel=0.05)
    assert parts.train > 0


def test_a_table_judged_without_a_moment_loses_no_row_of_its_test() -> None:
    """Where every label counts as known, the test part is the newest 15 %."""
    rows = hourly_rows(timedelta(days=21))
    parts = split(rows, Split()).summary
    assert parts.test == pytest.approx(0.15 * len(rows), rel=0.01)
    assert parts.validation == pytest.approx(0.15 * len(rows), rel=0.05)
