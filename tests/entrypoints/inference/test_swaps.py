"""A hundred changes of the model under a steady stream of requests."""

from __future__ import annotations

import json
import statistics
import time

import pytest
from paced_load import PacedLoad, Plan
from test_releases import champion
from test_survival import booster, resident_bytes

RATE, LEAST = 250, 200
SWAP_SECONDS = 0.1
BODY = json.dumps(
    {
        "inputs": [
            {"name": "miles", "shape": [1], "datatype": "FP64", "data": [0.7]},
            {"name": "wind", "shape": [1], "datatype": "FP64", "data": [-0.4]},
            {"name": "carrier", "shape": [1], "datatype": "BYTES", "data": ["AA"]},
        ]
    }
)


def scored(answer: dict) -> float:
    (score,) = [one["data"][0] for one in answer["outputs"] if one["name"] == "score"]
    return score


@pytest.mark.slow
def test_a_hundred_swaps_at_two_hundred_requests_a_second(own_gateway):
    """None fails, each answer is whole of the version that it names, memory is flat.

    The load does not wait for answers (250 are due each second, whatever happens), and at least
    200 were sent and answered in each second from before the first swap until after the last.
    """
    models = [booster(own_gateway, seed) for seed in range(4)]
    scores = []
    for model in models:
        own_gateway.deploy("late", champion(model, "0"))
        answer = own_gateway.http.post("/v2/models/late/infer", content=BODY).json()
        scores.append(scored(answer))
    assert len(set(scores)) == 4
    own_gateway.deploy("late", champion(models[0], "0"))
    port, sizes = int(own_gateway.url.rpartition(":")[2]), []
    plan = Plan(port, rate=RATE, seconds=120, good=[BODY], connections=1024, keep=True)
    with PacedLoad(plan) as load:
        begun = time.monotonic()
        for number in range(1, 101):
            # Paced too: a swap takes some milliseconds, and each should meet many requests.
            time.sleep(max(0.0, begun + number * SWAP_SECONDS - time.monotonic()))
            own_gateway.deploy("late", champion(models[number % 4], str(number)))
            sizes.append(resident_bytes(own_gateway))
        assert load.is_sending
        done = load.end()
    assert set(done.statuses) == {"200"}, done.statuses
    assert len(done.bodies) == done.statuses["200"] == len(done.sent)
    answers = [json.loads(body) for body in done.bodies]
    mixed = [
        (one["model_version"], scored(one))
        for one in answers
        if scored(one) != scores[int(one["model_version"]) % 4]
    ]
    assert mixed == []
    assert len({one["model_version"] for one in answers}) > 50
    seconds = int(done.seconds)
    assert seconds >= 2
    for second in range(seconds - 1):
        # What the load itself was late with, for want of a processor, it sends in the next second.
        soon = (done.sent_per_second(second, second + length) for length in (1, 2))
        assert max(soon) >= LEAST, second
    assert len(done.answered) / done.seconds >= LEAST
    growth = statistics.median(sizes[-10:]) - statistics.median(sizes[15:25])
    print(  # noqa: T201 - the figures, shown with a failure
        f"{len(answers)} answers in {done.seconds:.1f} s, p99 "
        f"{sorted(done.latencies)[int(len(answers) * 0.99)] * 1e3:.1f} ms, grew {growth / 1e6:.1f} MB"
    )
    assert growth < 8_000_000, f"grew by {growth / 1e6:.1f} MB over 75 swaps"
