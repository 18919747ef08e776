"""A crowd of clients at once. (What a server survives is told in tests/faults.)"""

from __future__ import annotations

import asyncio
import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from wire import Wire, serving

pytestmark = pytest.mark.slow


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
        assert database.execute("SELECT COUNT(*) FROM metric_rows").fetchone() == (loggers * each,)
        assert database.execute("PRAGMA quick_check").fetchone() == ("ok",)
