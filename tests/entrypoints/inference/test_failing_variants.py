"""Models with code of their own that crash, raise, lie or hang: their variant is taken out alone."""

from __future__ import annotations

import json
import time

import msgspec
import pytest
from paced_load import PacedLoad, Plan
from test_releases import champion
from test_survival import SIGNATURE

from mainspring.core.digest import canonical_json
from mainspring.registry.manifest import Manifest
from mainspring.serving import Variant

SOURCE = """
import os, time
import numpy as np

class Model:
    def __init__(self, folder, signature):
        self.calls, self.how = 0, (folder / "how.txt").read_text()

    def predict(self, rows):
        self.calls += 1
        good = np.full(len(rows), 0.9)
        if self.calls <= 2: return good  # the two of the load
        if self.how == "dies": os._exit(3)
        if self.how == "raises": raise KeyError("no such thing")
        if self.how == "answers NaN": return good * np.nan
        if self.how == "answers too much": return np.zeros(len(rows) + 1)
        time.sleep(10)
"""
TROUBLES = ["dies", "raises", "answers NaN", "answers too much", "takes ten seconds"]
BODY = {
    "inputs": [
        {"name": "miles", "shape": [1], "datatype": "FP64", "data": [0.7]},
        {"name": "wind", "shape": [1], "datatype": "FP64", "data": [-0.4]},
        {"name": "carrier", "shape": [1], "datatype": "BYTES", "data": ["AA"]},
    ]
}
RUN_SECONDS = 1.0  # of the tests' gateway: how long a batch may take


def custom(gateway, how: str):
    """A package with a class of its own."""
    put = gateway.objects.put
    files = {
        "custom.json": put(msgspec.json.encode({"file": "model.py", "class": "Model"})),
        "model.py": put(SOURCE.encode()),
        "how.txt": put(how.encode()),
    }
    made = Manifest(name="late", task="binary", runtime="custom", signature=SIGNATURE, files=files)
    return put(canonical_json(made))


def bodies(count: int) -> list[str]:
    """The same row of so many entities."""
    return [json.dumps({**BODY, "parameters": {"entity": f"plane-{n}"}}) for n in range(count)]


@pytest.mark.slow
@pytest.mark.parametrize("how", TROUBLES)
def test_a_canary_that(own_gateway, how):
    """Half of the requests are drawn to it, and every one gets the champion's answer.

    Another endpoint, and the entities that the champion has, are answered as fast as ever; soon
    nobody waits for the canary any more.
    """
    canary = Variant(
        name="next", model=custom(own_gateway, how), version="2", role="canary", share=0.5
    )
    own_gateway.deploy("late", champion(own_gateway.constant(0.1)), canary)
    own_gateway.deploy("other", champion(own_gateway.constant(0.3)))
    port = int(own_gateway.url.rpartition(":")[2])
    plans = [
        Plan(port, rate=60, seconds=3, good=bodies(64), keep=True, path=f"/v2/models/{name}/infer")
        for name in ("late", "other")
    ]
    with PacedLoad(plans[0]) as first, PacedLoad(plans[1]) as second:
        late, other = first.finish(), second.finish()
    for done, score in ((late, 0.1), (other, 0.3)):
        assert set(done.statuses) == {"200"}, done.statuses
        for one in map(json.loads, done.bodies):
            assert one["outputs"][0]["data"] == [score]
            assert one["parameters"]["variant"] == "champion"
    quick = sorted(other.latencies)[int(len(other.latencies) * 0.95)]
    assert quick < RUN_SECONDS, quick
    waited = sum(seconds > RUN_SECONDS for seconds in late.latencies)
    assert waited < len(late.latencies) / 2, waited
    text = own_gateway.http.get("/metrics").text
    (line,) = [
        line
        for line in text.splitlines()
        if line.startswith("mainspring_fallbacks_total{") and 'variant="next"' in line
    ]
    assert int(line.rpartition(" ")[2]) > 20


@pytest.mark.slow
@pytest.mark.parametrize("how", TROUBLES)
def test_a_champion_that(own_gateway, how):
    """Its own requests are told so, in time; another endpoint is answered as ever."""
    own_gateway.deploy("bad", champion(custom(own_gateway, how)))
    own_gateway.deploy("late", champion(own_gateway.constant(0.1)))
    port = int(own_gateway.url.rpartition(":")[2])
    plan = Plan(port, rate=100, seconds=3, good=bodies(8), keep=True)
    with PacedLoad(plan) as load:
        for _ in range(6):
            started = time.monotonic()
            response = own_gateway.http.post("/v2/models/bad/infer", json=BODY)
            assert response.status_code in {500, 503, 504}, response.text
            assert response.json().keys() == {"error"}
            assert time.monotonic() - started < 5
        done = load.finish()
    assert set(done.statuses) == {"200"}, done.statuses
    assert {json.loads(body)["outputs"][0]["data"][0] for body in done.bodies} == {0.1}
    assert sorted(done.latencies)[int(len(done.latencies) * 0.95)] < RUN_SECONDS


@pytest.mark.parametrize("path", ["/v2/models/late/infer", "/invocations"])
def test_a_share_of_zero_is_no_request_on_any_wire(own_gateway, path):
    """A canary and an arm at weight 0 are not asked once, whatever their entities; nor by copies."""
    silent = own_gateway.trouble("raise")
    canary = Variant(name="next", model=silent, version="2", role="canary", share=0.0)
    own_gateway.deploy("late", champion(own_gateway.constant(0.1)), canary)
    count = 400
    body = {
        "inputs": [
            {"name": name, "shape": [count], "datatype": kind, "data": [value] * count}
            for name, kind, value in (
                ("miles", "FP64", 1.0), ("wind", "FP64", 0.0), ("carrier", "BYTES", "AA"),
            )
        ],
        "parameters": {"entity": [f"plane-{n}" for n in range(count)]},
    }  # fmt: skip
    if path == "/invocations":
        body = {"dataframe_split": {"columns": ["miles", "wind", "carrier"], "data": [[1.0, 0.0, "AA"]] * count}}  # fmt: skip
    for _ in range(5):
        assert own_gateway.http.post(path, json=body).status_code == 200
    text = own_gateway.http.get("/metrics").text
    asked = [line for line in text.splitlines() if 'variant="next"' in line and "_info" not in line]
    assert [line for line in asked if not line.endswith(" 0")] == []
    assert (
        f'predicted_rows_total{{endpoint="late",variant="champion",version="1"}} {5 * count}'
        in text
    )
    own_gateway.control.seal_records()
