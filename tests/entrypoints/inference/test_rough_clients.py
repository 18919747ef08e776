"""Clients that flood, dawdle or go away: nobody else is harmed."""

from __future__ import annotations

import asyncio
import socket
import threading
from pathlib import Path

import httpx
import pytest

from mainspring._entrypoints.inference.packing import Intake
from mainspring.core.errors import Invalid, Unavailable

BODY = b'{"instances": [[2.0, 0.0, "AA"]]}'


def connection(gateway) -> socket.socket:
    made = socket.create_connection(("127.0.0.1", int(gateway.url.rpartition(":")[2])))
    made.settimeout(20)
    return made


def half_a_request() -> bytes:
    head = f"POST /invocations HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(BODY)}\r\n\r\n"
    return head.encode() + BODY[:10]


def memory_bytes(process) -> int:
    lines = Path(f"/proc/{process.pid}/smaps_rollup").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("Pss:")).split()[1]) * 1024


def asked(gateway) -> float:
    return gateway.http.post("/invocations", content=BODY).json()["predictions"][0]


def test_idle_and_half_open_connections_harm_nobody(gateway):
    """Hundreds of silent connections and half-sent bodies: requests are answered as before."""
    idle = [connection(gateway) for _ in range(300)]
    half = [connection(gateway) for _ in range(50)]
    for one in half:
        one.sendall(half_a_request())
    assert [asked(gateway) for _ in range(20)] == [0.5] * 20
    half[0].sendall(BODY[10:])
    assert half[0].recv(4096).startswith(b"HTTP/1.1 200")
    for one in (*idle, *half):
        one.close()
    assert asked(gateway) == 0.5


def test_clients_that_go_away_leave_nothing_behind(gateway):
    """Who closes before the answer costs the answer only."""
    for _ in range(100):
        gone = connection(gateway)
        gone.sendall(half_a_request() + BODY[10:])
        gone.close()
    assert asked(gateway) == 0.5


def test_a_flood_of_huge_and_malformed_bodies_is_refused_within_memory(gateway):
    """Large bodies of nonsense among good requests: the good ones are answered, memory is bounded."""
    asked(gateway)
    before = memory_bytes(gateway.process)
    huge = b'{"inputs": [' + b"1," * (4 << 20)
    statuses: list[int] = []

    def flood() -> None:
        with httpx.Client(base_url=gateway.url, timeout=60) as http:
            for _ in range(5):
                statuses.append(http.post("/v2/models/late/infer", content=huge).status_code)
                statuses.append(http.post("/invocations", content=b"[" * 100_000).status_code)

    threads = [threading.Thread(target=flood) for _ in range(4)]
    for thread in threads:
        thread.start()
    good = [asked(gateway) for _ in range(30)]
    for thread in threads:
        thread.join()
    assert good == [0.5] * 30
    assert set(statuses) <= {400, 503}
    assert memory_bytes(gateway.process) - before < 200 << 20


def test_a_body_beyond_the_limit_is_refused_unread(gateway):
    """A declared length over the limit is answered before the body is sent."""
    with connection(gateway) as one:
        one.sendall(
            b"POST /invocations HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 9999999999\r\n\r\n"
        )
        assert one.recv(4096).startswith(b"HTTP/1.1 413")


class Slow:
    """A body that never comes."""

    async def __call__(self) -> bytes:
        await asyncio.Event().wait()
        return b""


def test_bodies_share_a_budget_and_have_a_time():
    """What is on its way together is bounded; a body that does not come is given up."""

    async def both() -> None:
        intake = Intake(budget_bytes=100, body_seconds=0.05)
        first = asyncio.ensure_future(intake.read(Slow(), {"content-length": "80"}))
        await asyncio.sleep(0)
        with pytest.raises(Unavailable):
            await intake.read(Slow(), {"content-length": "30"})
        with pytest.raises(Invalid) as raised:
            await first
        assert raised.value.code == "http.too_slow"
        with pytest.raises(Invalid):  # the budget is whole again: this one may wait in vain too
            await intake.read(Slow(), {"content-length": "100"})

    asyncio.run(both())
