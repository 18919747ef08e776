"""Models that crash in native code: who has a process of its own takes nobody along."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from paced_load import PacedLoad, Plan
from test_failing_variants import BODY, bodies
from test_releases import champion

from mainspring.serving import Variant

RUN_SECONDS = 1.0  # of the tests' gateway: how long a batch may take


def load(gateway, *endpoints: str) -> list[PacedLoad]:
    port = int(gateway.url.rpartition(":")[2])
    return [
        PacedLoad(
            Plan(port, rate=60, seconds=3, good=bodies(64), keep=True, path=f"/v2/models/{n}/infer")
        )
        for n in endpoints
    ]


@pytest.mark.parametrize("role", ["canary", "reference", "shadow"])
def test_what_is_not_proven_crashes_alone(own_gateway, role):
    """Every request is answered by the champion, in time, and the gateway is the one it was."""
    crashing = Variant(
        name="next",
        model=own_gateway.trouble("crash"),
        version="2",
        role=role,
        share=0.5 if role == "canary" else 0.0,
    )
    own_gateway.deploy("late", champion(own_gateway.constant(0.1)), crashing)
    (sent,) = load(own_gateway, "late")
    with sent:
        done = sent.finish()
    assert set(done.statuses) == {"200"}, done.statuses
    for one in map(json.loads, done.bodies):
        assert one["outputs"][0]["data"] == [0.1]
        assert one["parameters"]["variant"] == "champion"
    assert sorted(done.latencies)[int(len(done.latencies) * 0.9)] < RUN_SECONDS
    assert own_gateway.process.poll() is None


@pytest.mark.slow
def test_a_champion_crashes_alone_where_all_are_isolated(isolated_gateway):
    """Its own requests are told so; another endpoint of the same gateway never notices."""
    isolated_gateway.deploy("bad", champion(isolated_gateway.trouble("crash")))
    isolated_gateway.deploy("late", champion(isolated_gateway.constant(0.1)))
    (sent,) = load(isolated_gateway, "late")
    with sent:
        for _ in range(6):
            response = isolated_gateway.http.post("/v2/models/bad/infer", json=BODY)
            assert response.status_code in {500, 503}, response.text
            assert "ended" in response.json()["error"] or "out of service" in response.text
        done = sent.finish()
    assert set(done.statuses) == {"200"}, done.statuses
    assert {json.loads(body)["outputs"][0]["data"][0] for body in done.bodies} == {0.1}
    assert isolated_gateway.process.poll() is None


def test_a_champion_answers_from_the_process_of_the_gateway(own_gateway):
    """Nothing is paid for isolation that nobody asked for: only the canary has a process."""

    def processes() -> int:
        threads = Path(f"/proc/{own_gateway.process.pid}/task").glob("*/children")
        return sum(len(one.read_text().split()) for one in threads)

    own_gateway.deploy("late", champion(own_gateway.constant(0.1)))
    before = processes()
    canary = Variant(
        name="next", model=own_gateway.constant(0.2), version="2", role="canary", share=0.5
    )
    own_gateway.deploy("late", champion(own_gateway.constant(0.1)), canary)
    assert (before, processes()) == (0, 1)
