"""kill -9 of the worker, and of the gateway beside it, as the commands run: nothing is doubled."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self

import numpy as np
import pytest
from cli_orders import orders
from command_gateway import CommandGateway
from test_kills import a_seed

from mainspring._bootstrap.folder import WORKSPACE_NAME
from mainspring._bootstrap.workspace import open_workspace
from mainspring.core.errors import MainspringError
from mainspring.core.ids import new_id
from mainspring.ports.tables import TableVersion
from mainspring.serving import GatewayClient
from mainspring.serving.segments import sealed_segments
from mainspring.serving.shipping import inputs_table, prediction_table

# A worker ships when it starts, then every minute. So each kill takes a start of two seconds, and
# of eight on a busy machine; test_kills.py kills the shipping itself more often.
KILLS, GATEWAY_KILLS, SEGMENTS, ROWS = 10, 6, 8, 20
WAIT_SECONDS = 120


def rows(count: int) -> dict[str, np.ndarray]:
    country = np.empty(count, object)
    country[:] = "DE"
    return {"amount": np.full(count, 2.0), "country": country}


def command(folder: Path, *words: str) -> list[str]:
    return [sys.executable, "-m", "mainspring", "--workspace", str(folder), *words]


@pytest.fixture(scope="module")
def shop(tmp_path_factory) -> Path:
    """The workspace of a project whose endpoint has a champion."""
    root = tmp_path_factory.mktemp("killed")
    (root / "orders.csv").write_text(orders())
    start = [sys.executable, "-m", "mainspring", "init", "shop", "--csv", "orders.csv", "--yes"]
    subprocess.run(start, cwd=root, check=True, capture_output=True)
    file = root / "shop" / "mainspring.toml"
    text, _, monitoring = file.read_text().partition("[[gates]]")
    _, _, endpoint = monitoring.partition("[endpoint]")
    file.write_text(text.replace("gradient_boosting", "logistic") + "[endpoint]" + endpoint)
    subprocess.run(command(root / "shop", "run", "train"), check=True, capture_output=True)
    return root / "shop" / WORKSPACE_NAME


@pytest.fixture
def begin(shop) -> Iterator[Callable[[], CommandGateway]]:
    """Starts gateways; none outlives the test."""
    started: list[CommandGateway] = []

    def one() -> CommandGateway:
        started.append(CommandGateway(shop))
        return started[-1]

    yield one
    for gateway in started:
        if gateway.process.returncode is None:
            gateway.stop(signal.SIGKILL)


class RunningWorker:
    """`mainspring worker` in a process, and when it is in the middle of shipping."""

    def __init__(self, folder: Path) -> None:
        self._records = folder / "serving" / "records"
        self._said = (folder / "worker.txt").open("ab")
        self.process = subprocess.Popen(command(folder, "worker"), stderr=self._said)

    def wait_until_it_ships(self) -> None:
        """Until it has removed the first of the segments there are."""
        first = sealed_segments(self._records)[0]
        until, pause = time.monotonic() + WAIT_SECONDS, threading.Event()
        while first.exists():
            pause.wait(0.002)
            assert self.process.poll() is None
            assert time.monotonic() < until

    def kill(self) -> bool:
        """Whether it died with work left."""
        self.process.kill()
        self.process.wait(30)
        return bool(sealed_segments(self._records))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        self._said.close()


class Asking(threading.Thread):
    """Durable questions with ids, one after the other, until the gateway is gone."""

    def __init__(self, url: str) -> None:
        super().__init__(daemon=True)
        self._url = url
        self.enough = threading.Event()
        self.answered: list[str] = []
        self.open: list[str] = []

    def run(self) -> None:
        client = GatewayClient(self._url)
        with contextlib.suppress(MainspringError):
            while True:
                self.open = [new_id() for _ in range(ROWS)]
                client.predict("shop", rows(ROWS), ids=self.open, durable=True)
                self.answered += self.open
                if len(self.answered) >= 3 * ROWS:
                    self.enough.set()
        client.close()


def spin(seconds: float) -> None:
    """A moment, exactly: of a sleep the kernel makes a longer one."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        pass


def shipped(folder: Path) -> dict[str, Counter[str]]:
    """How often each prediction stands in the tables, after a worker has had its way."""
    done = subprocess.run(
        command(folder, "worker", "--once"), capture_output=True, text=True, check=True
    )
    assert not sealed_segments(folder / "serving" / "records"), done.stderr
    found = {}
    with open_workspace(folder) as workspace:
        tables = workspace.tables
        signature = workspace.registry.packages.open("shop", 1).manifest.signature
        for name in (prediction_table("shop"), inputs_table("shop", signature)):
            ids = tables.query("select prediction_id from p", {"p": TableVersion(name)})
            found[name] = Counter(ids["prediction_id"].tolist())
    return found


@pytest.mark.slow
def test_a_worker_killed_while_it_ships_ships_exactly_once(shop, begin):
    """Killed again and again in the middle of a pass, beside a gateway at work: each row is there
    once, in the table of answers and in that of inputs.
    """
    draw, asked, in_the_middle = random.Random(a_seed()), set(), 0
    before = {name: set(ids) for name, ids in shipped_before(shop).items()}
    gateway = begin()
    client = GatewayClient(gateway.url)
    for _ in range(KILLS):
        for _ in range(SEGMENTS):
            asked |= set(ids := [new_id() for _ in range(ROWS)])
            client.predict("shop", rows(ROWS), ids=ids, durable=True)
            client.predict("shop", rows(ROWS))  # ids of the gateway's own
            gateway.control.seal_records()
        with RunningWorker(shop) as worker:
            worker.wait_until_it_ships()
            spin(draw.uniform(0.0, 0.1))
            in_the_middle += worker.kill()
    client.close()
    assert gateway.stop() == 0
    print(f"{in_the_middle} of {KILLS} kills in the middle of a pass")  # noqa: T201
    assert in_the_middle >= KILLS // 2
    for name, found in shipped(shop).items():
        new = {one: times for one, times in found.items() if one not in before.get(name, ())}
        assert set(new.values()) == {1}
        assert asked <= set(new)
        assert len(new) == KILLS * SEGMENTS * 2 * ROWS


@pytest.mark.slow
def test_a_gateway_killed_beside_its_worker_doubles_nothing(shop, begin):
    """Both die at random moments under load; whoever saw no answer asks the next gateway again.

    What was answered as durable is there, and no prediction is there twice: not one that stands in
    the records of two gateways, nor one that a dying worker had begun to ship.
    """
    draw, answered, again = random.Random(a_seed()), set(), []
    for number in range(GATEWAY_KILLS):
        gateway = begin()
        if again:
            client = GatewayClient(gateway.url)
            client.predict("shop", rows(len(again)), ids=again, durable=True)
            client.close()
            answered |= set(again)
        asking = Asking(gateway.url)
        asking.start()
        assert asking.enough.wait(WAIT_SECONDS)
        gateway.control.seal_records()
        with RunningWorker(shop) as worker:
            worker.wait_until_it_ships()
            spin(draw.uniform(0.0, 0.1))
            if number % 2:  # its records are torn while the worker lives
                os.kill(gateway.process.pid, signal.SIGKILL)
                spin(draw.uniform(0.0, 0.1))
            worker.kill()
            spin(draw.uniform(0.0, 0.1))
        gateway.stop(signal.SIGKILL)
        asking.join(60)
        answered |= set(asking.answered)
        again = asking.open
    assert len(answered) >= GATEWAY_KILLS * 3 * ROWS
    for found in shipped(shop).values():
        assert max(found.values()) == 1
        assert answered <= set(found)


def shipped_before(folder: Path) -> dict[str, Counter[str]]:
    """What another test of this project has left."""
    with open_workspace(folder) as workspace:
        has_any = workspace.tables.exists(prediction_table("shop"))
    return shipped(folder) if has_any else {}
