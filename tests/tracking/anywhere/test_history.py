from __future__ import annotations

import math

import mainspring as ms

POINTS = 120_000


def test_a_long_history_comes_whole_and_in_order(ws: ms.Workspace) -> None:
    """More points than one answer holds come as columns, from a folder and from a server."""
    import numpy as np

    with ws.runs.start("long") as run:
        for step in range(POINTS):
            run.log({"loss": math.nan if step == 7 else step / 7}, step=step)
    found = ws.runs.history(run.id, "loss")
    steps, values = np.asarray(found.steps), np.asarray(found.values)
    assert (steps == np.arange(POINTS)).all()
    assert math.isnan(values[7])
    assert values[-1] == (POINTS - 1) / 7
    assert (np.diff(found.times_ms) >= 0).all()
    assert len(ws.runs.history(run.id, "nothing").steps) == 0
