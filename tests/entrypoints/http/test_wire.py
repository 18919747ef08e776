"""What goes over the wire, byte by byte, when requests are odd."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from loop_server import Echo, Served, everything, serving

HOST = b"Host: a\r\n"
EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with serving(Echo()) as one:
        yield one


def status(reply: bytes) -> int:
    return int(reply.split()[1])


def head(method: str, path: str, *fields: str, version: str = "1.1") -> bytes:
    lines = [f"{method} {path} HTTP/{version}", "Host: a", *fields]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


SMUGGLING = {
    "two lengths": (head("POST", "/", "Content-Length: 1", "Content-Length: 2") + b"ab", 400),
    "the same length twice": (head("POST", "/", "Content-Length: 1", "Content-Length: 1"), 400),
    "a list of lengths": (head("POST", "/", "Content-Length: 1, 1"), 400),
    "a signed length": (head("POST", "/", "Content-Length: +1"), 400),
    "a length in hexadecimal": (head("POST", "/", "Content-Length: 0x1"), 400),
    "an empty length": (head("POST", "/", "Content-Length:"), 400),
    "a length beyond 64 bits": (head("POST", "/", "Content-Length: 99999999999999999999"), 400),
    "chunks and a length": (
        head("POST", "/", "Transfer-Encoding: chunked", "Content-Length: 1"),
        400,
    ),
    "a length and chunks": (
        head("POST", "/", "Content-Length: 1", "Transfer-Encoding: chunked"),
        400,
    ),
    "chunks twice": (
        head("POST", "/", "Transfer-Encoding: chunked", "Transfer-Encoding: chunked"),
        400,
    ),
    "chunks that are not last": (head("POST", "/", "Transfer-Encoding: chunked, gzip"), 400),
    "packed chunks": (head("POST", "/", "Transfer-Encoding: gzip, chunked"), 501),
    "an encoding that only looks like chunks": (
        head("POST", "/", "Transfer-Encoding: xchunked"),
        501,
    ),
    "chunks in HTTP/1.0": (
        head("POST", "/", "Transfer-Encoding: chunked", version="1.0") + b"0\r\n\r\n",
        501,
    ),
    "a space before the colon": (head("POST", "/", "Transfer-Encoding : chunked"), 400),
    "a folded line": (head("GET", "/", "X: a\r\n b"), 400),
    "a bare line feed": (b"GET / HTTP/1.1\nHost: a\n\n", 400),
    "a bare line feed in a field": (head("GET", "/", "X: a\nY: b"), 400),
    "a null byte": (head("GET", "/", "X: a\0b"), 400),
    "a bare return": (head("GET", "/", "X: a\rY: b"), 400),
    "a name with a space": (head("GET", "/", "A b: c"), 400),
    "no name": (head("GET", "/", ": c"), 400),
    "HTTP/0.9": (b"GET /\r\n\r\n", 505),
    "HTTP/2 without asking": (head("GET", "/", version="2.0"), 505),
    "HTTP/2's preface": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    "a tunnel": (b"CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n", 501),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
    "an unknown method": (head("FOO", "/"), 400),
    "bytes beyond ASCII in the target": (b"GET /\xff HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "too many fields": (head("GET", "/", *(f"X{n}: y" for n in range(300))), 431),
    "a field that is too long": (head("GET", "/", "X: " + "y" * 200_000), 431),
    "a target that is too long": (head("GET", "/" + "y" * 200_000), 431),
}


@pytest.mark.parametrize("what", SMUGGLING)
def test_what_could_be_read_in_two_ways_is_refused(served: Served, what: str) -> None:
    """A request whose end is in doubt, or that is none, gets one refusal, and nothing after it is read."""
    data, expected = SMUGGLING[what]
    with served.open() as client:
        client.sendall(data + head("GET", "/smuggled"))
        reply = everything(client)
    assert status(reply) == expected
    assert reply.count(b"HTTP/1.1 ") == 1
    assert b"connection: close" in reply
    assert b"smuggled" not in reply


@pytest.mark.parametrize(
    "chunks",
    [
        b"3\nabc\r\n0\r\n\r\n",
        b"3 \r\nabc\r\n",
        b"-1\r\n",
        b"fffffffffffffffff\r\n",
        b"3\r\nabcd\r\n",
    ],
)
def test_bad_chunks_are_a_torn_body(served: Served, chunks: bytes) -> None:
    """Chunks that are none end the body where they stand: its handler never takes it for whole."""
    reply = served.ask(head("POST", "/", "Transfer-Encoding: chunked") + chunks)
    assert b"HTTP/1.1 500" in reply  # the test's handler does not catch the error
    assert b"connection: close" in reply


def test_a_body_in_chunks_may_have_trailers(served: Served) -> None:
    """Extensions and trailers are passed over; the request behind them is read."""
    body = b"3;a=b\r\nabc\r\n2\r\nde\r\n0\r\nX-Digest: 1\r\nHost: b\r\n\r\n"
    data = head("POST", "/a", "Transfer-Encoding: chunked") + body + head("GET", "/b")
    reply = served.ask(data)
    assert b"POST /a? 5 " in reply
    assert b"GET /b? 0 " in reply


@pytest.mark.parametrize("rest", [b"3;" + b"x" * 400_000, b"0\r\nX: " + b"x" * 400_000])
def test_what_stands_between_chunks_is_bounded(served: Served, rest: bytes) -> None:
    """Endless extensions and trailers end the body as torn, long before they fill anything."""
    with served.open() as client:
        client.sendall(head("POST", "/", "Transfer-Encoding: chunked") + rest)
        assert b"HTTP/1.1 500" in everything(client)


def test_a_bad_request_takes_none_of_the_good_ones_before_it_along(served: Served) -> None:
    """Pipelined requests before a bad one are answered, the last of them as the last."""
    reply = served.ask(head("GET", "/a") + head("GET", "/b") + b"nonsense\r\n\r\n")
    assert reply.count(b"HTTP/1.1 200") == 2
    assert reply.count(b"connection: close") == 1
    assert reply.index(b"connection: close") > reply.index(b"GET /a?")


def test_pipelined_requests_with_bodies_are_answered_in_order(served: Served) -> None:
    """Bodies of either framing, one after the other, sent at once."""
    posts = b"".join(
        head("POST", f"/{n}", "Content-Length: 4") + b"GET "
        if n % 2
        else head("POST", f"/{n}", "Transfer-Encoding: chunked") + b"4\r\nGET \r\n0\r\n\r\n"
        for n in range(50)
    )
    reply = served.ask(posts).decode()
    places = [reply.index(f"POST /{n}? 4 ") for n in range(50)]
    assert places == sorted(places)


def test_thousands_of_pipelined_requests_wait_outside(served: Served) -> None:
    """However many come at once, few of them wait in memory, and all are answered."""
    count = 100_000
    with served.open() as client:
        client.settimeout(60)
        client.sendall(head("GET", "/waits"))
        app = served.listener.app
        assert app.began.acquire(timeout=10)  # type: ignore[attr-defined]
        client.setblocking(False)
        data, sent = b"GET /n HTTP/1.1\r\n\r\n" * count, 0
        try:
            while sent < len(data):
                sent += client.send(data[sent:])
        except BlockingIOError:
            pass
        connection = next(iter(served.on_loop(lambda: tuple(served.listener._connections))))
        served.until(lambda: connection._paused)
        assert served.on_loop(lambda: len(connection._requests.queue)) < 2000
        served.on_loop(app.go_on.set)  # type: ignore[attr-defined]
        client.settimeout(60)
        reply = bytearray()
        while reply.count(b"HTTP/1.1 200") < sent // 19 + 1:
            reply += client.recv(1 << 20)
    served.on_loop(app.go_on.clear)  # type: ignore[attr-defined]


def test_a_client_that_asks_first_is_told_to_go_on(served: Served) -> None:
    """100 Continue comes once, when the handler wants the body, and never to HTTP/1.0."""
    fields = ("Expect: 100-Continue ", "Content-Length: 3")
    with served.open() as client:
        client.sendall(head("POST", "/a", *fields))
        assert client.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.sendall(b"abc" + head("GET", "/b", "Connection: close"))
        reply = everything(client)
    assert b"100 Continue" not in reply
    assert b"POST /a? 3 " in reply
    assert b"GET /b? 0 " in reply
    assert b"100 Continue" not in served.ask(head("POST", "/a", *fields, version="1.0") + b"abc")


def test_a_body_that_nobody_wants_is_not_asked_for(served: Served) -> None:
    """A handler that answers at once sends no 100 Continue, and the connection ends."""
    with served.open() as client:
        client.sendall(head("POST", "/unread", "Expect: 100-continue", "Content-Length: 9"))
        reply = everything(client)
    assert reply.startswith(b"HTTP/1.1 413")
    assert b"connection: close" in reply


def test_a_refused_body_still_lets_its_answer_through(served: Served) -> None:
    """A client that sends megabytes to a handler that reads none of them sees the answer."""
    with served.open() as client:
        client.sendall(head("POST", "/unread", f"Content-Length: {8 << 20}") + bytes(8 << 20))
        assert everything(client).startswith(b"HTTP/1.1 413")


def test_http_1_0_closes_unless_asked_not_to(served: Served) -> None:
    """HTTP/1.0 ends with its answer; with keep-alive it says so and goes on."""
    with served.open() as client:
        client.sendall(head("GET", "/a", version="1.0"))
        assert b"connection: close" in everything(client)
    with served.open() as client:
        for _ in range(2):
            client.sendall(head("GET", "/a", "Connection: keep-alive", version="1.0"))
            assert b"connection: keep-alive" in client.recv(1000)


def test_a_stream_to_http_1_0_ends_with_the_connection(served: Served) -> None:
    """HTTP/1.0 knows no chunks: the body is what comes until the end."""
    reply = served.ask(head("GET", "/stream", "Connection: keep-alive", version="1.0"))
    assert b"transfer-encoding" not in reply
    assert reply.endswith(b"\r\n\r\nonetwo")


@pytest.mark.parametrize("protocol", ["h2c", "websocket"])
def test_an_offered_upgrade_is_passed_over_with_its_body(served: Served, protocol: str) -> None:
    """Java's client offers HTTP/2 with its first request; it is answered in HTTP/1.1, body and all."""
    fields = ("Connection: Upgrade, HTTP2-Settings", f"Upgrade: {protocol}", "HTTP2-Settings: AA")
    first = head("POST", "/a", *fields, "Content-Length: 5")
    chunked = head("POST", "/b", *fields, "Transfer-Encoding: chunked")
    with served.open() as client:
        client.sendall(first + b"he")
        client.sendall(b"llo" + chunked + b"2\r\nab\r\n0\r\n\r\n" + head("GET", "/c", *fields))
        client.sendall(head("GET", "/d", "Connection: close"))
        reply = everything(client)
    said = [line for line in reply.split(b"\r\n") if b"? " in line]
    assert [line.split(b" ")[:3] for line in (one.partition(b"HTTP/")[0] for one in said)] == [
        [b"POST", b"/a?", b"5"],
        [b"POST", b"/b?", b"2"],
        [b"GET", b"/c?", b"0"],
        [b"GET", b"/d?", b"0"],
    ]


@pytest.mark.parametrize("path", ["/a", "/stream", "/large", "/file", "/declared"])
def test_head_brings_no_body(served: Served, path: str) -> None:
    """HEAD has a head and nothing more, also of answers that were made for GET."""
    reply = served.ask(head("HEAD", path, "Bytes: 0-10") + head("GET", "/last"))
    first, _, rest = reply.partition(b"\r\n\r\n")
    assert first.startswith(b"HTTP/1.1 200")
    assert rest.startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("path", ["/nothing", "/unchanged"])
def test_answers_without_content_have_none(served: Served, path: str) -> None:
    """204 and 304 have no body and no length, whatever the handler gave."""
    reply = served.ask(head("GET", path) + head("GET", "/last"))
    first, _, rest = reply.partition(b"\r\n\r\n")
    assert b"content-length" not in first
    assert rest.startswith(b"HTTP/1.1 200")
    assert b"canary" not in reply


def test_a_length_is_declared_once(served: Served) -> None:
    """A handler that declares the length of its answer is taken at its word."""
    assert served.ask(head("GET", "/declared")).lower().count(b"content-length") == 1


@pytest.mark.parametrize("path", ["/breaks", "/short", "/long"])
def test_a_stream_that_breaks_is_not_whole(served: Served, path: str) -> None:
    """An error, too few bytes or too many: the client sees that the body is not whole."""
    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
        httpx.get(f"http://127.0.0.1:{served.port}{path}")


@pytest.mark.parametrize("path", ["/split", "/missing", "/silent"])
def test_a_handler_that_cannot_answer_is_500(
    served: Served, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A line break in a header, a file that is gone, no answer at all: 500, and nothing of its own."""
    with caplog.at_level(logging.CRITICAL):
        reply = served.ask(head("GET", path))
    assert reply.startswith(b"HTTP/1.1 500")
    assert b"set-cookie" not in reply


@pytest.mark.parametrize("part", [(0, 100), (7, 8), (5, 5)])
def test_parts_of_files_are_exact(served: Served, part: tuple[int, int]) -> None:
    """A file's bytes from start up to and without end, and the connection goes on."""
    start, end = part
    asked = head("GET", "/file", f"Bytes: {start}-{end}")
    reply = served.ask(asked + head("GET", "/last"))
    whole = Path(__file__).with_name("loop_server.py").read_bytes()
    first, _, rest = reply.partition(b"\r\n\r\n")
    assert f"content-length: {end - start}".encode() in first
    assert rest.startswith(whole[start:end] + b"HTTP/1.1 200")


def test_a_file_that_became_shorter_is_cut_off(served: Served) -> None:
    """Bytes that are no longer there end the connection: no padding, no silence."""
    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
        httpx.get(f"http://127.0.0.1:{served.port}/file", headers={"bytes": "0-99999999"})


def test_an_absolute_target_is_its_path(served: Served) -> None:
    """A proxy's form of a request means the same as the plain one."""
    assert b"GET /p?q " in served.ask(head("GET", "http://a/p?q"))


def test_a_client_that_is_done_sending_gets_its_answer(served: Served) -> None:
    """Half closed is not gone; a body cut off by it is torn at once."""
    assert b"GET /a? " in served.ask(head("GET", "/a"))
    assert b"HTTP/1.1 500" in served.ask(head("POST", "/a", "Content-Length: 9") + b"abc")
    assert served.ask(b"GET / HT") == b""
