from __future__ import annotations

import gzip
import signal
import socket
import threading

import httpx
import pytest
from http_probe import free_port, raw, running

from mainspring._entrypoints._http.routing import Route, Router
from mainspring._entrypoints._http.serving import _claim
from mainspring.core.errors import Unavailable


def test_patterns_give_their_values_decoded_once(open_port: int) -> None:
    """A percent sign in a name survives: the path is decoded once, not twice."""
    url = f"http://127.0.0.1:{open_port}"
    answer = httpx.get(f"{url}/things/per%2520cent/parts/a%20b?x=1&x=%26").json()
    assert answer["params"] == {"name": "per%20cent", "part": "a b"}
    assert answer["query"] == {"x": ["1", "&"]}


def test_unknown_addresses_and_methods(open_port: int) -> None:
    """What is not there is 404 in our error form; a wrong method says which are right."""
    url = f"http://127.0.0.1:{open_port}"
    gone = httpx.get(f"{url}/API/x")
    assert (gone.status_code, gone.json()["code"]) == (404, "http.no_such_address")
    wrong = httpx.put(f"{url}/echo")
    assert (wrong.status_code, wrong.headers["allow"]) == (405, "DELETE, GET, POST")


def test_bodies_over_the_cap_are_refused(open_port: int) -> None:
    """Declared, chunked and zipped bodies stop at the route's limit."""
    url = f"http://127.0.0.1:{open_port}/echo"
    kind = {"content-type": "application/json"}
    assert httpx.post(url, content=b"x" * 1000, headers=kind).json()["size"] == 1000
    assert httpx.post(url, content=b"x" * 1001, headers=kind).status_code == 413
    chunks = (b"x" * 6 for _ in range(1000))
    assert httpx.post(url, content=chunks, headers=kind).status_code == 413
    zipped = kind | {"content-encoding": "gzip"}
    bomb = gzip.compress(b"0" * 10_000_000)
    assert httpx.post(url, content=gzip.compress(b"x" * 999), headers=zipped).json()["size"] == 999
    for body, status in ((gzip.compress(b"x" * 1001), 413), (bomb, 413), (b"not gzip", 400)):
        assert httpx.post(url, content=body, headers=zipped).status_code == status
    head = (
        f"POST /echo HTTP/1.1\r\nHost: 127.0.0.1:{open_port}\r\nContent-Length: 10000000000\r\n\r\n"
    )
    assert raw(open_port, head)[0] == 413


def test_streams_go_both_ways(open_port: int) -> None:
    """Large bodies are handed on in chunks, in and out."""
    url = f"http://127.0.0.1:{open_port}"
    sent = httpx.put(f"{url}/files/a/b", content=(b"y" * 65536 for _ in range(100)))
    assert sent.json() == {"bytes": 6_553_600}
    assert len(httpx.get(f"{url}/stream").content) == 1_000_000


def test_a_bug_is_500_without_its_words(open_port: int) -> None:
    """An unexpected error tells the client nothing of the inside."""
    answer = httpx.get(f"http://127.0.0.1:{open_port}/broken")
    assert answer.status_code == 500
    assert "canary" not in answer.text


def test_inline_handlers_may_answer_later(open_port: int) -> None:
    """A future resolved by another thread is awaited without holding one."""
    assert httpx.get(f"http://127.0.0.1:{open_port}/later").text == "later"


def test_head_is_get_without_the_body(open_port: int) -> None:
    """HEAD has GET's headers."""
    answer = httpx.head(f"http://127.0.0.1:{open_port}/health")
    assert (answer.status_code, answer.content) == (200, b"")


@pytest.mark.parametrize("query", ["%ff", "&".join("a=1" for _ in range(10_001))])
def test_bad_queries_are_400(open_port: int, query: str) -> None:
    """A query that is not UTF-8 or has too many fields is the caller's mistake."""
    assert httpx.get(f"http://127.0.0.1:{open_port}/echo?{query}").status_code == 400


def test_sigterm_lets_requests_finish() -> None:
    """A request under way at SIGTERM is answered, then the process ends by itself."""
    with running() as (port, process):
        answers: list[httpx.Response] = []
        ask = threading.Thread(
            target=lambda: answers.append(httpx.get(f"http://127.0.0.1:{port}/slow", timeout=10))
        )
        ask.start()
        assert process.stderr is not None
        assert "begins" in process.stderr.readline()
        process.send_signal(signal.SIGTERM)
        ask.join()
        assert answers[0].text == "slow"
        assert process.wait(timeout=10) == 0


def test_a_taken_port_is_said(open_port: int) -> None:
    """Two servers never share a port by accident."""
    with pytest.raises(Unavailable, match="Cannot listen"):
        _claim("127.0.0.1", open_port)
    _claim("127.0.0.1", free_port())


def test_static_paths_win_over_patterns() -> None:
    """The router prefers the literal segment, and falls back when it leads nowhere."""

    def route(pattern: str) -> Route:
        return Route("GET", pattern, lambda _: None, ("x", "y"))  # type: ignore[arg-type, return-value]

    router = Router([route("/a/{x}"), route("/a/b"), route("/a/b/c"), route("/{r*}")])

    def pattern(path: str) -> str:
        found = router.find("GET", path)
        assert found is not None
        return found[0].pattern

    assert [pattern(p) for p in ("/a/b", "/a/c", "/a/b/c", "/a/b/d")] == [
        "/a/b",
        "/a/{x}",
        "/a/b/c",
        "/{r*}",
    ]
    with pytest.raises(ValueError, match="twice"):
        Router([route("/a"), route("/a")])


def test_a_rest_keeps_the_names_before_it() -> None:
    """A pattern that ends in a rest gives every value that it names."""
    made = Route("GET", "/a/{x}/b/{rest*}", lambda _: None, ("x", "y"))  # type: ignore[arg-type, return-value]
    found = Router([made]).find("GET", "/a/1/b/2/3")
    assert found is not None
    assert found[1] == {"x": "1", "rest": "2/3"}


def test_slow_uploads_hold_up_nobody(open_port: int) -> None:
    """Forty uploads that stand still leave the other routes as quick as before."""
    head = f"PUT /files/x HTTP/1.1\r\nHost: 127.0.0.1:{open_port}\r\nContent-Length: 99\r\n\r\nx"
    held = [socket.create_connection(("127.0.0.1", open_port), timeout=10) for _ in range(40)]
    try:
        for connection in held:
            connection.sendall(head.encode())
        answer = httpx.get(f"http://127.0.0.1:{open_port}/echo", timeout=5)
        assert answer.status_code == 200
    finally:
        for connection in held:
            connection.close()
