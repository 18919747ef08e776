"""Clients that flood, dawdle or go away: nobody else is harmed."""

from __future__ import annotations

import asyncio
import gzip
import socket
import statistics
import threading
import time
import zlib
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


class Body:
    """A body of which some chunks come, and then, for a torn one, no more."""

    def __init__(self, *chunks: bytes, torn: bool = False) -> None:
        self._chunks, self._torn = chunks, torn

    async def __call__(self) -> bytes:
        return b"".join([chunk async for chunk in self])

    async def __aiter__(self):
        for chunk in self._chunks:
            yield chunk
        if self._torn:
            await asyncio.Event().wait()


PACKED = {"content-encoding": "gzip"}


def test_what_has_come_counts_and_not_what_was_announced():
    """Who announces much and sends little holds no memory that others need; all has its time."""

    async def both() -> None:
        intake = Intake(budget_bytes=100_000, body_seconds=1.0)
        dripping = Body(b"x" * 10, torn=True)
        first = asyncio.ensure_future(intake.read(dripping, {"content-length": "90000"}))
        await asyncio.sleep(0)
        half = Body(b"x" * 60_000, torn=True)
        second = asyncio.ensure_future(intake.read(half, {"content-length": "60001"}))
        await asyncio.sleep(0.01)
        with pytest.raises(Unavailable):
            await intake.read(Body(b"x" * 40_000), {"content-length": "40000"})
        for one in (first, second):
            with pytest.raises(Invalid) as raised:
                await one
            assert raised.value.code == "http.too_slow"
        whole = Body(b"x" * 50_000, b"x" * 50_000)  # the budget is whole again
        assert len(await intake.read(whole, {"content-length": "100000"})) == 100_000

    asyncio.run(both())


def test_packed_bodies_are_unpacked_within_bounds():
    """Short and long ones come whole; torn, false and endless ones are refused."""

    async def all_of_them() -> None:
        intake = Intake()
        for size in (0, 10, 300_000, 3_000_000):
            data = bytes(size)
            for name, pack in (("gzip", gzip.compress), ("deflate", zlib.compress)):
                read = await intake.read(Body(pack(data)), {"content-encoding": name})
                assert read == data
        for bad in (gzip.compress(bytes(10))[:-4], gzip.compress(bytes(10**6))[:-4], b"nonsense"):
            with pytest.raises(Invalid) as raised:
                await intake.read(Body(bad), PACKED)
            assert raised.value.code == "http.bad_body"
        with pytest.raises(Invalid) as raised:
            await intake.read(Body(gzip.compress(bytes(65 << 20))), PACKED)
        assert raised.value.code == "http.too_large"
        with pytest.raises(Invalid) as raised:
            await intake.read(Body(b"x"), {"content-encoding": "br"})
        assert raised.value.code == "http.unsupported_media_type"

    asyncio.run(all_of_them())


def test_heavy_bodies_leave_the_time_to_light_ones():
    """While light bodies come, a heavy one waits ten times as long as the one before it took."""

    async def both() -> None:
        intake, heavy = Intake(), Body(bytes(1_000_000))
        length = {"content-length": "1000000"}
        took = []
        for _ in range(5):
            started = time.monotonic()
            await intake.read(heavy, length)
            took.append(time.monotonic() - started)
        assert statistics.median(took) < 0.1  # alone, nobody waits; else four waited for 0.2
        reading = asyncio.ensure_future(intake.read(heavy, length))
        started, light = time.monotonic(), 0
        await intake.read(Body(b"{}"), {"content-length": "2"})
        while not reading.done():
            await intake.read(Body(b"{}"), {"content-length": "2"})
            await asyncio.sleep(0)
            light += 1
        assert time.monotonic() - started > 0.1
        assert light > 50

    asyncio.run(both())
