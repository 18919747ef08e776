"""A thousand that log at once."""

import asyncio
import json
import re
import resource
import sqlite3
from pathlib import Path

import pytest
from tracking_server import serving

LOGGERS = 1_000
METRICS = 100
MOST_MB = 300.0
_START_SECONDS, _SECONDS = 120, 900


async def ask(streams, path, document):
    """The status and the document of an answer."""
    reader, writer = streams
    body = json.dumps(document).encode()
    writer.write(
        f"POST /api/2.0/mlflow/runs/{path} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        + body
    )
    await writer.drain()
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    length = int(re.search(rb"content-length: (\d+)", head)[1])
    return int(head.split()[1]), json.loads(await reader.readexactly(length))


async def logger(port, ready, go, faults):
    """One logger: a connection and a run of its own, each metric a call of its own; the run."""
    streams = await asyncio.open_connection("127.0.0.1", port)
    status, made = await ask(streams, "create", {"experiment_id": "0", "start_time": 1})
    assert status == 200, made
    run = made["run"]["info"]["run_id"]
    ready.release()
    await go.wait()
    for step in range(METRICS):
        metric = {"run_id": run, "key": "m", "value": step / 7, "timestamp": 1, "step": step}
        status, answer = await ask(streams, "log-metric", metric)
        if status != 200:
            faults.append((status, answer))
    streams[1].close()
    return run


async def crowd(port):
    """All loggers at once, from the moment that each has its run: their runs, what went wrong."""
    ready, go, faults = asyncio.Semaphore(0), asyncio.Event(), []
    async with asyncio.timeout(_SECONDS):
        tasks = [asyncio.create_task(logger(port, ready, go, faults)) for _ in range(LOGGERS)]
        async with asyncio.timeout(_START_SECONDS):
            for _ in range(LOGGERS):
                await ready.acquire()
        go.set()
        return await asyncio.gather(*tasks), faults


def most_memory_mb(pid):
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+)", status)[1]) / 1024


@pytest.fixture
def many_files():
    """Room for a connection of each logger."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4 * LOGGERS), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.slow
@pytest.mark.usefixtures("many_files")
def test_a_thousand_loggers_lose_nothing_and_wait_for_nobody(tmp_path):
    """1,000 loggers of 100 metrics each: no error, none missing, no lock, memory in bounds."""
    with serving(tmp_path) as server:
        runs, faults = asyncio.run(crowd(int(server.host.rpartition(":")[2])))
        memory_mb = most_memory_mb(server.process.pid)
    assert faults == []
    assert not [line for line in server.said if "locked" in line or "rror" in line]
    database = sqlite3.connect(next(tmp_path.rglob("mainspring.db")))
    try:
        sql = (
            "SELECT r.uuid, COUNT(*), COUNT(DISTINCT m.step), MAX(m.step) FROM metric_rows m "
            "JOIN runs r ON r.id = m.run GROUP BY r.uuid"
        )
        found = {uuid: tuple(counts) for uuid, *counts in database.execute(sql)}
    finally:
        database.close()
    assert found == dict.fromkeys(runs, (METRICS, METRICS, METRICS - 1))
    assert len(found) == LOGGERS
    assert memory_mb < MOST_MB, memory_mb
