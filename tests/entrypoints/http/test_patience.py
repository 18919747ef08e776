"""How long the server waits, for how many, and how it ends."""

from __future__ import annotations

import asyncio
import gc
import os
import resource
import signal
import socket
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest
from http_probe import running
from loop_server import PATIENCE, Echo, Served, everything, serving

from mainspring._entrypoints._http.connection import HEAD_SECONDS, IDLE_SECONDS
from mainspring._entrypoints._http.listening import Listener
from mainspring._entrypoints._http.replies import STALLED_SECONDS

GET = b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n"
WAITS = b"GET /waits HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.fixture
def served() -> Iterator[Served]:
    with serving(Echo()) as one:
        yield one


def test_a_head_that_drips_is_refused(served: Served) -> None:
    """The time for a head runs from its first byte, however it drips."""
    with served.open() as client:
        client.sendall(GET)
        client.recv(1000)
        client.sendall(b"GET /b HTTP/1.1\r\nHost")
        one = only(served)
        served.until(lambda: one._requests.in_head)
        served.later(HEAD_SECONDS - 2)
        client.sendall(b": a\r\nX")
        served.later(HEAD_SECONDS + 1)
        assert everything(client).startswith(b"HTTP/1.1 408")


def test_a_connection_between_requests_may_rest(served: Served) -> None:
    """Longer than a load balancer keeps its own, and then it is closed without a word."""
    with served.open() as client:
        client.sendall(GET)
        client.recv(1000)
        served.later(IDLE_SECONDS - 2)
        client.sendall(GET)
        assert client.recv(1000).startswith(b"HTTP/1.1 200")
        served.later(IDLE_SECONDS + 1)
        assert everything(client) == b""


def test_who_says_nothing_is_closed(served: Served) -> None:
    """A connection without any request has the time of a head."""
    with served.open() as client:
        served.until(lambda: len(served.listener._connections) == 1)
        served.later(HEAD_SECONDS + 1)
        assert everything(client) == b""


def test_a_short_body_that_drips_reaches_its_handler(served: Served) -> None:
    """Its handler is called after a moment, and takes the rest as it comes."""
    with served.open() as client:
        client.sendall(b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nx")
        one = only(served)
        served.until(lambda: len(one._requests.queue) == 1)
        served.later(5)
        served.until(lambda: one._current is not None)
        client.sendall(b"y")
        assert b"POST /a? 2 " in client.recv(1000)


def test_a_slow_reader_holds_one_answer(served: Served) -> None:
    """Who asks a hundred times and reads nothing has one large answer in memory, then none."""
    with served.open() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.sendall(b"GET /huge HTTP/1.1\r\nHost: a\r\n\r\n" * 100)
        one = only(served)
        served.until(lambda: one._writing_stopped and one._current is None)
        assert len(served.listener.app.seen) < 4
        assert served.on_loop(one._transport.get_write_buffer_size) < 25 << 20
        served.later(0)
        served.later(STALLED_SECONDS + 1)
        served.until(lambda: not served.listener._connections)


def test_an_answer_that_nobody_takes_ends_its_connection(served: Served) -> None:
    """Also one too small for the loop to notice, on a connection that is closing already."""
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        client.connect(("127.0.0.1", served.port))
        one = only(served)
        sending = one._transport.get_extra_info("socket")
        sending.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2048)
        client.sendall(b"GET /medium HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        served.until(lambda: one._is_deaf)
        assert 0 < served.on_loop(one._transport.get_write_buffer_size) < 64 << 10
        assert not one._writing_stopped
        served.later(0)
        served.later(STALLED_SECONDS + 1)
        served.until(lambda: not served.listener._connections)


def test_a_stream_waits_for_its_reader(served: Served) -> None:
    """An endless stream to a client that reads nothing fills nothing; it ends when the client goes."""
    with served.open() as client:
        client.sendall(b"GET /endless HTTP/1.1\r\nHost: a\r\n\r\n")
        served.until(lambda: any(one._writing_stopped for one in served.listener._connections))
        assert served.on_loop(only(served)._transport.get_write_buffer_size) < 1 << 20
    served.until(lambda: not served.listener._connections)


def test_a_body_that_is_not_read_waits_outside(served: Served) -> None:
    """A handler that is busy elsewhere has a megabyte of its body in memory, not all of it."""
    with served.open() as client:
        client.sendall(b"POST /waits HTTP/1.1\r\nHost: a\r\nContent-Length: 500000000\r\n\r\n")
        client.setblocking(False)
        one = only(served)
        served.until(lambda: _sends(client) and one._paused)
        assert served.on_loop(lambda: one._current._buffered) < 2 << 20
        served.on_loop(served.listener.app.go_on.set)


@pytest.mark.parametrize("request_", [WAITS, b"GET /endless HTTP/1.1\r\nHost: a\r\n\r\n"])
def test_aborts_leave_nothing_behind(served: Served, request_: bytes) -> None:
    """Clients that vanish in the middle leave no task, no error nobody looked at, no connection."""
    for _ in range(20):
        with served.open() as client:
            client.sendall(request_)
            assert served.listener.app.began.acquire(timeout=PATIENCE)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    served.on_loop(served.listener.app.go_on.set)
    served.until(lambda: not served.listener._connections)


def test_a_closed_connection_waits_for_no_collector(served: Served) -> None:
    """What a connection held is free at once: the collector of circles comes rarely."""
    gc.collect()
    gc.disable()
    try:
        with served.open() as client:
            client.sendall(GET)
            client.recv(1000)
            gone = served.on_loop(
                lambda: weakref.ref(next(iter(served.listener._connections))._requests)
            )
        served.until(lambda: not served.listener._connections)
        served.until(lambda: gone() is None)
    finally:
        gc.enable()


def test_more_clients_than_there_is_room_for_wait() -> None:
    """The next one is answered once another has left."""
    with serving(Echo(), most=2) as served:
        first, second, third = served.open(), served.open(), served.open()
        with second, third:
            for client in (first, second):
                client.sendall(GET)
                client.recv(1000)
            third.sendall(GET)
            assert served.connections() == 2
            first.close()
            assert third.recv(1000).startswith(b"HTTP/1.1 200")


def test_without_file_descriptors_the_server_waits() -> None:
    """EMFILE ends nothing: who is here is answered, who comes waits, and comes in later."""
    with serving(Echo()) as served, served.open() as here, socket.socket() as newcomer:
        here.sendall(GET)
        here.recv(1000)
        newcomer.settimeout(PATIENCE)
        with no_descriptors():
            newcomer.connect(("127.0.0.1", served.port))
            newcomer.sendall(GET)
            served.until(lambda: served.listener._full)
            here.sendall(GET)
            assert here.recv(1000).startswith(b"HTTP/1.1 200")
        assert newcomer.recv(1000).startswith(b"HTTP/1.1 200")


def test_the_end_waits_for_answers_and_for_nobody_else() -> None:
    """Idle and half-read clients are let go; one that waits for an answer gets it, as the last."""
    with serving(Echo()) as served:
        idle, half, busy = served.open(), served.open(), served.open()
        with idle, half, busy:
            idle.sendall(GET)
            idle.recv(1000)
            half.sendall(GET[:10])
            busy.sendall(WAITS)
            assert served.listener.app.began.acquire(timeout=PATIENCE)
            served.until(lambda: len(served.listener._connections) == 3)
            served.on_loop(served.listener.stop)
            assert (everything(idle), everything(half)) == (b"", b"")
            with pytest.raises(ConnectionRefusedError):
                served.open()
            served.on_loop(served.listener.app.go_on.set)
            reply = everything(busy)
            assert b"connection: close" in reply
            assert reply.endswith(b"waited")


def test_a_body_under_way_at_the_end_is_still_taken() -> None:
    """A request whose head was read is answered when its body has come."""
    with serving(Echo()) as served, served.open() as client:
        client.sendall(b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nab")
        served.until(lambda: any(one._requests.queue for one in served.listener._connections))
        served.on_loop(served.listener.stop)
        client.sendall(b"cd")
        reply = everything(client)
        assert b"POST /a? 4 " in reply
        assert b"connection: close" in reply


def test_who_takes_too_long_at_the_end_is_cut_off() -> None:
    """An endless stream does not hold up the end for longer than it may."""

    async def run() -> bytes:
        listener = Listener(Echo(), "127.0.0.1", 0)
        listener.start()
        assert listener._socket is not None
        reader, writer = await asyncio.open_connection(*listener._socket.getsockname())
        writer.write(b"GET /endless HTTP/1.1\r\nHost: a\r\n\r\n")
        got = await reader.readexactly(100)
        listener.stop()
        await listener.ended(0.05)
        writer.close()
        return got

    started = time.monotonic()
    assert asyncio.run(run()).startswith(b"HTTP/1.1 200")
    assert time.monotonic() - started < PATIENCE


def test_sigterm_with_every_kind_of_client() -> None:
    """Idle, half-read and uploading clients: the process ends by itself, with nothing on stderr."""
    with running() as (port, process):
        clients = [socket.create_connection(("127.0.0.1", port), timeout=10) for _ in range(3)]
        host = f"Host: 127.0.0.1:{port}\r\n".encode()
        clients[0].sendall(b"GET /health HTTP/1.1\r\n" + host + b"\r\n")
        assert clients[0].recv(1000).startswith(b"HTTP/1.1 200")
        clients[1].sendall(b"GET /health HTTP/1.1\r\n")
        clients[2].sendall(b"PUT /files/x HTTP/1.1\r\n" + host + b"Content-Length: 9\r\n\r\n1234")
        finish = threading.Timer(0.3, clients[2].sendall, [b"56789"])
        finish.start()
        process.send_signal(signal.SIGTERM)
        reply = everything(clients[2])
        assert process.wait(timeout=15) == 0
        finish.join()
        for client in clients:
            client.close()
        assert process.stderr is not None
        assert b'{"bytes":9}' in reply
        assert process.stderr.read() == ""


def only(served: Served):
    """The one connection there is, once it is."""
    served.until(lambda: len(served.listener._connections) == 1)
    return served.on_loop(lambda: next(iter(served.listener._connections)))


def _sends(client: socket.socket) -> bool:
    try:
        while True:
            client.send(bytes(1 << 16))
    except BlockingIOError:
        return True


@contextmanager
def no_descriptors() -> Iterator[None]:
    """Every file descriptor that this process may have is taken."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken = [os.dup(0)]
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft // 4, 256), hard))
    try:
        with suppress(OSError):
            while True:
                taken.append(os.dup(0))
        yield
    finally:
        for descriptor in taken:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
