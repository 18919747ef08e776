"""kill -9 of the gateway, and of the process that ships its records: what is lost, what is doubled."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from disk_syncs import Syncs
from test_releases import Load, champion, records, rows

from mainspring._adapters.delta.tables import DeltaTables
from mainspring.core.ids import new_id
from mainspring.ports.tables import TableVersion
from mainspring.serving import GatewayClient
from mainspring.serving.segments import seal_abandoned
from mainspring.serving.shipping import prediction_table, ship

FLUSH_SECONDS = 0.05  # of this gateway
BUSY_SECONDS = 0.1
KILLS, SHIPPING_KILLS = 50, 15


def a_seed() -> int:
    """A printed seed, so that a failure can be played again (set FAULT_SEED)."""
    seed = int(os.environ.get("FAULT_SEED", random.SystemRandom().randrange(10**9)))
    print(f"FAULT_SEED={seed}")  # noqa: T201 - pytest shows it with a failure
    return seed


@pytest.mark.slow
def test_fifty_kills_lose_the_stated_window_and_double_nothing(own_gateway, tmp_path):
    """Killed at fifty random moments under load, with and without others who wait for the disk.

    Durable answers are all kept. Of the others, all that were answered before the window are: what
    gathers for a flush, the flush under way, and what a busy machine needs to get to it. No row is
    there twice.
    """
    draw = random.Random(a_seed())
    own_gateway.deploy("late", champion(own_gateway.constant(0.5), "0.5"))
    durable: set[str] = set()
    loose: list[tuple[float, str]] = []  # how long before the end of the window it was answered
    syncs = Syncs(tmp_path)
    syncs.start()
    for number in range(KILLS):
        load = Load(own_gateway.url, {0.5}, durable=True)
        if number % 2:
            load.start()
        answered: list[tuple[float, str]] = []
        until = time.monotonic() + draw.uniform(0.02, 0.8)
        while time.monotonic() < until:
            name = new_id()
            own_gateway.client.predict("late", rows(1), ids=[name])
            answered.append((time.monotonic(), name))
        killed = time.monotonic()
        own_gateway.process.send_signal(signal.SIGKILL)
        if number % 2:
            load.join(20)
        durable |= set(load.answered)
        window = FLUSH_SECONDS + 2 * syncs.longest_seconds(killed) + BUSY_SECONDS
        loose += [(killed - moment - window, name) for moment, name in answered]
        own_gateway.stop(signal.SIGKILL)
        own_gateway.start()
    syncs.stop()
    own_gateway.stop()
    seal_abandoned(own_gateway.folder / "records")
    kept = Counter(name for name, _, _ in records(own_gateway.folder))
    lost = [age for age, name in loose if name not in kept]
    due = sum(age > 0 for age, _ in loose)
    print(  # noqa: T201 - the figures, shown with a failure
        f"{len(durable)} durable, {len(loose)} not, {due} of them before their window; "
        f"{len(lost)} lost, the oldest {max(lost, default=0.0) * 1e3:.0f} ms before it"
    )
    assert len(durable) > KILLS
    assert durable <= set(kept)
    assert max(kept.values()) == 1
    assert due > KILLS
    assert max(lost, default=0.0) <= 0


class Shipper:
    """The process that ships."""

    def __init__(self, folder: Path, tables: Path) -> None:
        script = str(Path(__file__).with_name("shipping_process.py"))
        self.process = subprocess.Popen(
            [sys.executable, script, str(folder / "records"), str(tables)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def wait_for(self, word: str) -> None:
        while self.process.stdout.readline().strip() != word:
            assert self.process.poll() is None

    def kill(self) -> bool:
        """Whether it died in the middle of a pass."""
        self.process.kill()
        said = self.process.stdout.read().split()
        self.process.wait(30)
        self.process.stdin.close()
        self.process.stdout.close()
        return not said or said[-1] == "ships"


@pytest.mark.slow
def test_a_shipper_killed_in_the_middle_ships_exactly_once(own_gateway, tmp_path):
    """Killed again and again while it moves records of a gateway at work: each is there once."""
    draw = random.Random(a_seed())
    own_gateway.deploy("late", champion(own_gateway.constant(0.5), "0.5"))
    client, asked, in_the_middle = GatewayClient(own_gateway.url), [], 0
    for _ in range(SHIPPING_KILLS):
        shipper = Shipper(own_gateway.folder, tmp_path / "tables")
        shipper.wait_for("ships")
        for _ in range(4):
            asked += (ids := [new_id() for _ in range(50)])
            client.predict("late", rows(50), ids=ids, durable=True)
            client.predict("late", rows(20))  # ids of the gateway's own
        own_gateway.control.seal_records()
        killing = time.monotonic() + draw.uniform(0.0, 0.08)
        while time.monotonic() < killing:
            pass
        in_the_middle += shipper.kill()
    client.close()
    own_gateway.control.seal_records()
    tables = DeltaTables(tmp_path / "tables")
    try:
        ship(own_gateway.folder / "records", tables)
        query = "select prediction_id, count(*) as n from p group by all"
        found = tables.query(query, {"p": TableVersion(prediction_table("late"))})
    finally:
        tables.close()
    print(f"{in_the_middle} of {SHIPPING_KILLS} kills in the middle of a pass")  # noqa: T201
    assert in_the_middle >= 10
    assert set(found["n"].tolist()) == {1}
    assert set(asked) <= set(found["prediction_id"].tolist())
    assert len(found["n"]) == SHIPPING_KILLS * 4 * 70
