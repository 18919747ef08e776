"""The same bytes in other pieces, and bytes that were damaged on the way."""

from __future__ import annotations

import itertools
import random
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from loop_server import Echo, Served, everything, serving

SECONDS = 4.0


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with serving(Echo()) as one:
        yield one


_bodies = st.binary(max_size=300) | st.just(b"z" * 70_000)


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    """One valid request, of any framing."""
    place = draw(st.integers(0, 9))
    host = "Host: a\r\n" + "X-Long: " + "v" * draw(st.integers(0, 50)) + "\r\n"
    kind = draw(st.sampled_from(["get", "length", "chunked", "upgrade", "head"]))
    if kind in {"get", "head"}:
        blank = draw(st.sampled_from(["", "\r\n"]))
        return f"{blank}{kind.upper()} /{place}?q=%20 HTTP/1.1\r\n{host}\r\n".encode()
    body = draw(_bodies)
    offer = "Connection: upgrade\r\nUpgrade: h2c\r\n" if kind == "upgrade" else ""
    if kind != "chunked":
        head = f"POST /{place} HTTP/1.1\r\n{offer}{host}Content-Length: {len(body)}\r\n\r\n"
        return head.encode() + body
    cut = draw(st.integers(0, len(body)))
    parts = [part for part in (body[:cut], body[cut:]) if part]
    chunks = b"".join(b"%x;e=1\r\n%b\r\n" % (len(part), part) for part in parts)
    end = draw(st.sampled_from([b"0\r\n\r\n", b"0\r\nTrailer: t\r\n\r\n"]))
    head = f"POST /{place} HTTP/1.1\r\n{host}Transfer-Encoding: chunked\r\n\r\n"
    return head.encode() + chunks + end


def answers(served: Served, pieces: list[bytes]) -> list[bytes]:
    with served.open() as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for piece in pieces:
            client.sendall(piece)
        client.shutdown(socket.SHUT_WR)
        lines = everything(client).split(b"\r\n")
    return [line for line in lines if not line.startswith(b"date:")]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(stream=st.lists(requests(), min_size=1, max_size=5).map(b"".join), data=st.data())
def test_pieces_change_no_answer(served: Served, stream: bytes, data: st.DataObject) -> None:
    """However a stream of requests is cut, the same answers come in the same order."""
    cuts = data.draw(st.lists(st.integers(0, len(stream)), max_size=40).map(sorted))
    edges = [0, *cuts, len(stream)]
    pieces = [stream[a:b] for a, b in itertools.pairwise(edges)]
    assert answers(served, pieces) == answers(served, [stream])


def test_byte_by_byte_is_the_same(served: Served) -> None:
    """The hardest cut: every byte alone."""
    stream = (
        b"POST /a HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: h2c\r\n"
        b"Content-Length: 5\r\n\r\nhello"
        b"POST /b HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"3;x=y\r\nabc\r\n0\r\nT: u\r\n\r\nGET /c HTTP/1.1\r\n\r\n"
    )
    pieces = [stream[n : n + 1] for n in range(len(stream))]
    whole = answers(served, [stream])
    assert answers(served, pieces) == whole
    assert b"".join(whole).count(b"HTTP/1.1 200 OK") == 3


_SEEDS = (
    b"GET /a?b=c HTTP/1.1\r\nHost: a\r\nAccept: */*\r\n\r\n",
    b"POST /b HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\nhello world",
    b"POST /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    b"POST /d HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nab",
    b"GET /e HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    b"GET /stream HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
    b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n",
)
_WORDS = (b"\r\n", b"\n", b"\r", b"\0", b": ", b"0\r\n\r\n", b"Content-Length: 3\r\n", b"\xff")


def _damaged(chance: random.Random) -> bytes:
    data = bytearray(b"".join(chance.choices(_SEEDS, k=chance.randint(1, 4))))
    for _ in range(chance.randint(1, 6)):
        place = chance.randrange(len(data) + 1)
        match chance.randrange(4):
            case 0:
                data[place : place + 1] = bytes([chance.randrange(256)])
            case 1:
                del data[place : place + chance.randint(1, 20)]
            case 2:
                data[place:place] = chance.choice(_WORDS)
            case _:
                data[place:place] = data[place : place + chance.randint(1, 60)]
    return bytes(data)


def _memory_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def test_damaged_requests_harm_nobody(served: Served, caplog: pytest.LogCaptureFixture) -> None:
    """Seconds of random damage: every connection ends, memory stays, the next question is answered."""
    caplog.set_level("CRITICAL", "mainspring.http")
    chance, end, rounds, before = random.Random(7), time.monotonic() + SECONDS, 0, 0
    while time.monotonic() < end or rounds < 4:
        for _ in range(50):
            with served.open() as client:
                client.sendall(_damaged(chance))
                if chance.random() < 0.8:
                    client.shutdown(socket.SHUT_WR)
                    everything(client)
        rounds += 1
        if rounds == 2:
            before = _memory_bytes()
    served.until(lambda: not served.listener._connections)
    assert _memory_bytes() - before < 32 << 20
    assert served.ask(_SEEDS[0]).startswith(b"HTTP/1.1 200")
