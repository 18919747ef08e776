"""What was acknowledged is there: crashes, crowds and a full disk."""

from __future__ import annotations

import asyncio
import http.client
import json
import random
import signal
import sqlite3
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest
from wire import Wire, serving

pytestmark = pytest.mark.slow
KILLS = 12
WRITERS = 8


class Writer(threading.Thread):
    """Logs steps 0, 1, 2, ... one call each; knows which were sent and which acknowledged."""

    def __init__(self, address: str, run_id: str, first: int) -> None:
        super().__init__(daemon=True)
        self.address, self.run_id = address.removeprefix("http://"), run_id
        self.first = first
        self.sent = first
        self.acknowledged: list[int] = []
        self.errors: list[str] = []

    def run(self) -> None:
        connection = http.client.HTTPConnection(self.address, timeout=10)
        try:
            while True:
                body = {
                    "run_id": self.run_id,
                    "key": "m",
                    "value": 1,
                    "timestamp": 1,
                    "step": self.sent,
                }
                self.sent += 1
                headers = {"content-type": "application/json"}
                connection.request(
                    "POST", "/api/2.0/mlflow/runs/log-metric", json.dumps(body), headers
                )
                answer = connection.getresponse()
                text = answer.read()
                if answer.status == 200:
                    self.acknowledged.append(body["step"])  # type: ignore[arg-type]
                else:
                    self.errors.append(text.decode())
        except (OSError, http.client.HTTPException):
            return
        finally:
            connection.close()


def test_kills_lose_nothing_acknowledged(tmp_path: Path) -> None:
    """After kill -9 at random moments under eight writers: no loss, no duplicate, soon healthy."""
    seed = random.randrange(10**9)
    chance = random.Random(seed)
    acknowledged: dict[str, set[int]] = {}
    sent: dict[str, int] = {}
    errors: list[str] = []
    wires: list[Wire] = []

    def opened(address: str) -> Wire:
        wires.append(Wire(address))
        return wires[-1]

    for _ in range(KILLS):
        started = time.perf_counter()
        with serving(tmp_path) as (address, process):
            assert time.perf_counter() - started < 5.0
            wire = opened(address)
            if not acknowledged:
                acknowledged = {wire.new_run(): set() for _ in range(WRITERS)}
            writers = [Writer(address, run_id, sent.get(run_id, 0)) for run_id in acknowledged]
            for writer in writers:
                writer.start()
            threading.Event().wait(chance.uniform(0.05, 0.6))
            process.send_signal(signal.SIGKILL)
            process.wait()
            for writer in writers:
                writer.join()
                acknowledged[writer.run_id] |= set(writer.acknowledged)
                sent[writer.run_id] = writer.sent
                errors += writer.errors
    with serving(tmp_path) as (address, _):
        wire = opened(address)
        for run_id, steps in acknowledged.items():
            found = wire.get("metrics/get-history", run_id=run_id, metric_key="m")
            stored = [metric["step"] for metric in found.get("metrics", [])]
            assert len(stored) == len(set(stored)), f"seed {seed}"
            assert steps <= set(stored) <= set(range(sent[run_id])), f"seed {seed}"
            latest = wire.run(run_id)["data"]["metrics"][0]["step"]
            assert latest == max(stored), f"seed {seed}"
    for wire in wires:
        wire.http.close()
    assert errors == []
    assert sum(map(len, acknowledged.values())) > KILLS * WRITERS


async def log_all(host: str, port: int, run_id: str, count: int) -> list[int]:
    """The statuses of ``count`` metrics logged on one connection."""
    reader, writer = await asyncio.open_connection(host, port)
    statuses = []
    for step in range(count):
        body = json.dumps(
            {"run_id": run_id, "key": "m", "value": step, "timestamp": 1, "step": step}
        )
        writer.write(
            f"POST /api/2.0/mlflow/runs/log-metric HTTP/1.1\r\nHost: {host}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()
        )
        head = await reader.readuntil(b"\r\n\r\n")
        statuses.append(int(head.split()[1]))
        length = next(
            line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")
        )
        await reader.readexactly(int(length.split()[1]))
    writer.close()
    await writer.wait_closed()
    return statuses


def resident_mb(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    raise AssertionError


def test_a_thousand_loggers_at_once(tmp_path: Path) -> None:
    """A thousand connections log at the same time: no error, none missing, memory bounded."""
    loggers, each = 1000, 10
    with serving(tmp_path) as (address, process):
        wire = Wire(address)
        run_ids = [wire.new_run() for _ in range(loggers)]
        wire.http.close()
        host, port = address.removeprefix("http://").split(":")

        async def crowd() -> list[list[int]]:
            calls = (log_all(host, int(port), run_id, each) for run_id in run_ids)
            return await asyncio.gather(*calls)

        statuses = asyncio.run(crowd())
        assert {status for found in statuses for status in found} == {200}
        assert resident_mb(process.pid) < 256
    with closing(sqlite3.connect(next(tmp_path.rglob("mainspring.db")))) as database:
        assert database.execute("SELECT COUNT(*) FROM metrics").fetchone() == (loggers * each,)
        assert database.execute("PRAGMA quick_check").fetchone() == ("ok",)
