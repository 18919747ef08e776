"""What swaps share: boosters to change between, the memory of a gateway, and the way back."""

from __future__ import annotations

import statistics
import time
from pathlib import Path

import numpy as np
from test_releases import champion, rows

from mainspring._adapters.lightgbm.learner import GradientBoosting
from mainspring.core.digest import canonical_json
from mainspring.core.schema import InputColumn, Signature
from mainspring.registry.manifest import Manifest
from mainspring.serving.routes import write_routes

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


def test_going_back_needs_no_loading(own_gateway, tmp_path):
    """The route before is live again within 10 ms beside what the disk needs to keep it.

    Its model is still in memory: it would not be found where packages lie.
    """
    one, two = own_gateway.constant(0.25), own_gateway.constant(0.5)
    own_gateway.deploy("late", champion(one, "1"))
    own_gateway.deploy("late", champion(two, "2"))
    own_gateway.deploy("other", champion(two, "2"))
    (tmp_path / "objects").rename(tmp_path / "away")
    (elsewhere := tmp_path / "elsewhere").mkdir()
    seconds, storing = [], []
    for number in range(21):
        started = time.perf_counter()
        table = own_gateway.control.roll_back("late")
        seconds.append(time.perf_counter() - started)
        started = time.perf_counter()
        write_routes(elsewhere, table)
        storing.append(time.perf_counter() - started)
        wanted = "12"[number % 2]
        assert table.route("late").champion.version == wanted
        assert own_gateway.client.predict("late", rows(1))["version"].tolist() == [wanted]
    # The least of each: on a busy machine the median tells of the others.
    assert min(seconds) - min(storing) < 0.010, f"{statistics.median(seconds) * 1000:.1f} ms"
