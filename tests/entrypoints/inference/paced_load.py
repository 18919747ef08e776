"""Load from a process of its own, at a rate that does not wait for answers (open loop).

Reads one JSON document from standard input (:class:`Plan`), says ``ready``, sends for so many
seconds or until standard input is closed, then writes one JSON document (:class:`Done`).
A request that is due while every connection is taken is counted as not sent: the load on the
server is what was sent, and a test must look whether that was what it wanted.
"""

from __future__ import annotations

import asyncio
import base64
import os
import random
import resource
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Self

import msgspec


class Plan(msgspec.Struct):
    """What is sent: ``good`` bodies, and with the probability ``bad_share`` one of the ``bad``.

    ``keep`` keeps each good answer's body; ``wait_seconds``: who waits longer hangs up.
    """

    port: int
    rate: float
    seconds: float
    good: list[str]
    path: str = "/v2/models/late/infer"
    bad: list[tuple[str, str]] = []
    bad_share: float = 0.0
    connections: int = 64
    bad_connections: int = 16
    cpu: int | None = None
    keep: bool = False
    wait_seconds: float = 10.0
    seed: int = 0


class Done(msgspec.Struct):
    """What came of it; moments are seconds since the first request was due."""

    seconds: float = 0.0
    due: int = 0
    sent: list[float] = []
    answered: list[float] = []
    latencies: list[float] = []
    statuses: dict[str, int] = {}
    bad_statuses: dict[str, int] = {}
    bodies: list[str] = []
    retry_after_missing: int = 0

    def per_second(self, first: float, last: float) -> float:
        """Good answers per second between two moments."""
        return sum(first <= moment < last for moment in self.answered) / (last - first)

    def sent_per_second(self, first: float, last: float) -> float:
        """Good requests sent per second between two moments."""
        return sum(first <= moment < last for moment in self.sent) / (last - first)


def request(path: str, body: bytes, headers: str = "") -> bytes:
    """The bytes of one POST."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n{headers}\r\n"
    )
    return head.encode() + body


class _Connection(asyncio.Protocol):
    """One request in flight, or none."""

    def __init__(self, load: _Load, free: list[_Connection]) -> None:
        self.load, self.free = load, free
        self.transport: asyncio.Transport | None = None
        self.due, self.good, self.busy, self.data = 0.0, True, False, b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]

    def send(self, data: bytes, *, good: bool) -> None:
        self.due, self.good, self.busy, self.data = time.perf_counter(), good, True, b""
        self.transport.write(data)

    def data_received(self, data: bytes) -> None:
        self.data += data
        head, split, body = self.data.partition(b"\r\n\r\n")
        if not split or not self.busy:
            return
        lines = head.lower().split(b"\r\n")
        length = next((int(x[15:]) for x in lines if x.startswith(b"content-length:")), 0)
        if len(body) >= length:
            self.busy = False
            self.load.answered(self, int(head[9:12]), head, body)
            if b"connection: close" in head.lower() or self.transport.is_closing():
                self.transport.close()
            else:
                self.free.append(self)

    def connection_lost(self, _error: Exception | None) -> None:
        if self in self.free:
            self.free.remove(self)
        if self.busy:
            self.busy = False
            self.load.answered(self, 0, b"", b"")
        self.load.lost(self)


class _Load:
    def __init__(self, plan: Plan) -> None:
        self.plan, self.done = plan, Done()
        self.good = [request(plan.path, body.encode()) for body in plan.good]
        self.bad = [request(plan.path, base64.b64decode(b), h) for b, h in plan.bad]
        self.free: list[_Connection] = []
        self.free_bad: list[_Connection] = []
        self.all: set[_Connection] = set()
        self.statuses: Counter[str] = Counter()
        self.bad_statuses: Counter[str] = Counter()
        self.began, self.ending = 0.0, False
        self.opening: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        loop, plan = asyncio.get_running_loop(), self.plan
        for free, count in ((self.free, plan.connections), (self.free_bad, plan.bad_connections)):
            for _ in range(count if free is self.free or plan.bad else 0):
                await self.open(free)
        loop.add_reader(0, self._stop)
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        self.began, number = time.perf_counter(), 0
        draw = random.Random(plan.seed)
        while not self.ending and (now := time.perf_counter() - self.began) < plan.seconds:
            while number / plan.rate <= now:
                self._one(number, draw)
                number += 1
            await asyncio.sleep(max(0.0, number / plan.rate - (time.perf_counter() - self.began)))
        self.done.seconds = time.perf_counter() - self.began
        until = time.perf_counter() + plan.wait_seconds
        while any(one.busy and one.good for one in self.all) and time.perf_counter() < until:  # noqa: ASYNC110 - an event per connection would cost more
            await asyncio.sleep(0.01)
        self.ending = True
        for one in self.all:
            if one.busy and one.good:
                self.statuses["waiting"] += 1
        self.done.statuses, self.done.bad_statuses = dict(self.statuses), dict(self.bad_statuses)

    async def open(self, free: list[_Connection]) -> None:
        loop = asyncio.get_running_loop()
        try:
            _, made = await loop.create_connection(
                lambda: _Connection(self, free), "127.0.0.1", self.plan.port
            )
        except OSError:
            self.statuses["refused"] += 1
            return
        self.all.add(made)
        free.append(made)

    def lost(self, one: _Connection) -> None:
        self.all.discard(one)
        if not self.ending:
            task = asyncio.get_running_loop().create_task(self.open(one.free))
            self.opening.add(task)
            task.add_done_callback(self.opening.discard)

    def answered(self, one: _Connection, status: int, head: bytes, body: bytes) -> None:
        now = time.perf_counter()
        (self.statuses if one.good else self.bad_statuses)[str(status)] += 1
        if status in {429, 503} and b"retry-after:" not in head.lower():
            self.done.retry_after_missing += 1
        if one.good and status == 200:
            self.done.answered.append(now - self.began)
            self.done.latencies.append(now - one.due)
            if self.plan.keep:
                self.done.bodies.append(body.decode())

    def _one(self, number: int, draw: random.Random) -> None:
        self.done.due += 1
        if self.bad and draw.random() < self.plan.bad_share:
            if self.free_bad:
                self.free_bad.pop().send(draw.choice(self.bad), good=False)
        elif self.free:
            self.done.sent.append(time.perf_counter() - self.began)
            self.free.pop().send(self.good[number % len(self.good)], good=True)

    def _stop(self) -> None:
        if not os.read(0, 1):
            self.ending = True


def main() -> None:
    plan = msgspec.json.decode(sys.stdin.buffer.readline(), type=Plan)
    if plan.cpu is not None:
        os.sched_setaffinity(0, {plan.cpu})
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    load = _Load(plan)
    asyncio.run(load.run())
    sys.stdout.buffer.write(msgspec.json.encode(load.done) + b"\n")


class PacedLoad:
    """The process, for the length of a block; it is sending when the block begins."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan

    def __enter__(self) -> Self:
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__))], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self.process.stdin.write(msgspec.json.encode(self.plan) + b"\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == b"ready\n"
        return self

    @property
    def is_sending(self) -> bool:
        """Whether it is not over yet."""
        return self.process.poll() is None

    def end(self) -> Done:
        """What came of it, stopped now."""
        self.process.stdin.close()
        return self.finish()

    def finish(self) -> Done:
        """What came of it, once its time is over."""
        done = msgspec.json.decode(self.process.stdout.readline(), type=Done)
        self.process.wait(30)
        return done

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait(30)
        self.process.stdin.close()
        self.process.stdout.close()


if __name__ == "__main__":
    main()
