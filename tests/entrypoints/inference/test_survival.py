"""What a gateway outlives: swaps, rollbacks, kills, dragging shadows and floods."""

from __future__ import annotations

import random
import signal
import statistics
import threading
import time
from pathlib import Path

import httpx
import numpy as np
import pytest
from test_releases import Load, champion, records, rows

from mainspring._adapters.lightgbm.learner import GradientBoosting
from mainspring.core.digest import canonical_json
from mainspring.core.errors import MainspringError
from mainspring.core.ids import new_id
from mainspring.core.schema import InputColumn, Signature
from mainspring.registry.manifest import Manifest
from mainspring.serving import GatewayClient, Variant
from mainspring.serving.segments import seal_abandoned

SIGNATURE = Signature(
    (
        InputColumn("miles", "number"),
        InputColumn("wind", "number"),
        InputColumn("carrier", "category", ("AA", "UA")),
    ),
    "probability",
)


def resident_bytes(gateway) -> int:
    return int(Path(f"/proc/{gateway.process.pid}/statm").read_text().split()[1]) * 4096


def booster(gateway, seed: int):
    """A package with a booster of 300 trees, some hundred kilobytes."""
    draw = np.random.default_rng(seed)
    inputs = {
        "miles": draw.normal(size=500),
        "wind": draw.normal(size=500),
        "carrier": draw.choice(np.array(["AA", "UA"], object), 500),
    }
    fitted = GradientBoosting().fit(
        inputs,
        (inputs["miles"] > 0).astype(float),
        columns=SIGNATURE.inputs,
        parameters={"rounds": 300, "min_data_in_leaf": 2},
        seed=seed,
    )
    files = {name: gateway.objects.put(data) for name, data in fitted.files().items()}
    made = Manifest(
        name="late", task="binary", runtime="lightgbm", signature=SIGNATURE, files=files
    )
    return gateway.objects.put(canonical_json(made))


@pytest.mark.slow
def test_memory_is_flat_over_swaps(own_gateway):
    """A hundred swaps of boosters under load: what the first twenty took is not taken again."""
    models = [booster(own_gateway, seed) for seed in range(4)]
    own_gateway.deploy("late", champion(models[0], "0"))
    errors: list[object] = []
    done = threading.Event()

    def ask() -> None:
        client = GatewayClient(own_gateway.url)
        while not done.wait(0.005):
            try:
                client.predict("late", rows(1))
            except MainspringError as error:
                errors.append(error)
        client.close()

    asking = threading.Thread(target=ask)
    asking.start()
    sizes = []
    for number in range(100):
        own_gateway.deploy("late", champion(models[(number + 1) % 4], str(number + 1)))
        sizes.append(resident_bytes(own_gateway))
    done.set()
    asking.join()
    assert errors == []
    growth = statistics.median(sizes[-10:]) - statistics.median(sizes[15:25])
    assert growth < 8_000_000, f"grew by {growth / 1e6:.1f} MB over 75 swaps"


def test_going_back_needs_no_loading(own_gateway):
    """The route before is live again within 10 ms of the median, its model still in memory."""
    one, two = own_gateway.constant(0.25), own_gateway.constant(0.5)
    own_gateway.deploy("late", champion(one, "1"))
    own_gateway.deploy("late", champion(two, "2"))
    own_gateway.deploy("other", champion(two, "2"))
    seconds = []
    for number in range(21):
        started = time.perf_counter()
        table = own_gateway.control.roll_back("late")
        seconds.append(time.perf_counter() - started)
        wanted = "12"[number % 2]
        assert table.route("late").champion.version == wanted
        assert own_gateway.client.predict("late", rows(1))["version"].tolist() == [wanted]
    assert min(seconds) < 0.010, f"{statistics.median(seconds) * 1000:.1f} ms"


@pytest.mark.slow
def test_fifty_kills_lose_the_stated_window_and_double_nothing(own_gateway):
    """Killed at fifty random moments: durable answers are all kept, and no row is there twice."""
    seed = random.SystemRandom().randrange(10**6)
    draw = random.Random(seed)
    own_gateway.deploy("late", champion(own_gateway.constant(0.5), "0.5"))
    durable: set[str] = set()
    for _ in range(50):
        load = Load(own_gateway.url, {0.5}, durable=True)
        load.start()
        loose: list[tuple[float, str]] = []
        until = time.monotonic() + draw.uniform(0.02, 0.4)
        while time.monotonic() < until:
            name = new_id()
            own_gateway.client.predict("late", rows(1), ids=[name])
            loose.append((time.monotonic(), name))
        own_gateway.process.send_signal(signal.SIGKILL)
        load.join(20)
        durable |= set(load.answered)
        own_gateway.stop(signal.SIGKILL)
        own_gateway.start()
    own_gateway.stop()
    seal_abandoned(own_gateway.folder / "records")
    kept = [name for name, _, _ in records(own_gateway.folder)]
    assert len(durable) > 50, f"seed {seed}"
    assert durable <= set(kept), f"seed {seed}"
    assert len(kept) == len(set(kept)), f"seed {seed}"


def latencies(client, endpoint: str, count: int) -> list[float]:
    found = []
    for _ in range(count):
        started = time.perf_counter()
        client.predict(endpoint, rows(1))
        found.append(time.perf_counter() - started)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("how", ["sleep", "raise"])
def test_a_shadow_does_not_slow_the_primary(own_gateway, how):
    """Two endpoints of the same model, one with a bad shadow, asked in turns: the same latency."""
    model = own_gateway.constant(0.5)
    bad = own_gateway.trouble(how, **({"seconds": 0.2} if how == "sleep" else {}))
    own_gateway.deploy("alone", champion(model))
    own_gateway.deploy(
        "followed", champion(model), Variant(name="s", model=bad, version="2", role="shadow")
    )
    client = own_gateway.client
    for name in ("alone", "followed"):
        latencies(client, name, 50)
    found: dict[str, list[float]] = {"alone": [], "followed": []}
    for number in range(60):
        for name in ("alone", "followed") if number % 2 else ("followed", "alone"):
            found[name] += latencies(client, name, 20)
    middle = {name: statistics.median(values) for name, values in found.items()}
    assert middle["followed"] < 1.25 * middle["alone"] + 0.0001, middle


@pytest.mark.slow
def test_a_flood_is_turned_away(own_gateway):
    """Bodies that are huge or nonsense from twelve sides: each gets its 4xx or 503, good requests
    are answered or told to come again, memory stays bounded, and within 10 s all is as before.
    """
    own_gateway.deploy("late", champion(own_gateway.linear(), "1"))
    body = {
        "inputs": [
            {"name": name, "shape": [50], "datatype": kind, "data": [value] * 50}
            for name, kind, value in (
                ("miles", "FP64", 1.5), ("wind", "FP64", 0.0), ("carrier", "BYTES", "AA"),
            )
        ]
    }  # fmt: skip
    path = "/v2/models/late/infer"
    bad = [b"{" * 5000, b"[" + b"1," * 400_000 + b"1]", b"\x00" * 3_000_000, b"{}"]

    def good(client, seconds) -> tuple[int, set[int]]:
        answered, others, until = 0, set(), time.monotonic() + seconds
        while time.monotonic() < until:
            status = client.post(path, json=body).status_code
            if status == 200:
                answered += 1
            else:
                others.add(status)
        return answered, others

    statuses: set[int] = set()
    stopping = threading.Event()

    def flood(number: int) -> None:
        with httpx.Client(base_url=own_gateway.url, timeout=30) as client:
            while not stopping.is_set():
                try:
                    statuses.add(client.post(path, content=bad[number % len(bad)]).status_code)
                except httpx.TransportError:
                    continue

    calm, _ = good(own_gateway.http, 2.0)
    size = resident_bytes(own_gateway)
    flooding = [threading.Thread(target=flood, args=(n,)) for n in range(12)]
    for thread in flooding:
        thread.start()
    _, others = good(own_gateway.http, 4.0)
    grown = resident_bytes(own_gateway) - size
    stopping.set()
    for thread in flooding:
        thread.join(30)
    assert others <= {429, 503}
    assert statuses <= {400, 413, 429, 503}
    assert grown < 300_000_000
    # Well again within ten seconds: a machine shared with others is given several looks.
    assert any(good(own_gateway.http, 2.0)[0] > 0.8 * calm for _ in range(5))
