"""Our applications behind servers and frameworks that speak ASGI."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest
from loop_server import Echo
from small_server import ROUTES

from mainspring._entrypoints._http import Application, Doors, Mount
from mainspring._entrypoints._http.asgi import Asgi

T = TypeVar("T")


def asking(app: Any, ask: Callable[[httpx.AsyncClient], Awaitable[T]]) -> T:
    """What a client gets from an application, between its startup and its shutdown."""

    @asynccontextmanager
    async def life() -> AsyncIterator[Any]:
        yield app

    async def run() -> T:
        asgi = Asgi(life)
        transport = httpx.ASGITransport(asgi)
        async with (
            asgi.lifespan(),
            httpx.AsyncClient(transport=transport, base_url="http://localhost") as client,
        ):
            return await ask(client)

    return asyncio.run(run())


@pytest.fixture
def small() -> Any:
    app = Application([Mount(ROUTES)], Doors())
    yield app
    app.close()


def test_routes_answer_as_behind_our_own_server(small: Application) -> None:
    """Parameters, queries, errors, methods and doors are the application's, whoever serves it."""

    async def ask(client: httpx.AsyncClient) -> None:
        found = await client.get("/things/per%2520cent/parts/a%20b?x=1&x=%26")
        assert found.json()["params"] == {"name": "per%20cent", "part": "a b"}
        assert found.json()["query"] == {"x": ["1", "&"]}
        assert (await client.put("/echo")).status_code == 405
        assert (await client.get("/broken")).status_code == 500
        assert (await client.get("/later")).text == "later"
        foreign = await client.get("/health", headers={"host": "evil.example"})
        assert foreign.json()["code"] == "http.bad_host"

    asking(small, ask)


def test_bodies_come_in_parts_and_under_their_caps(small: Application) -> None:
    """A long upload reaches its handler in chunks, empty ones too; a cap holds for any framing."""

    async def parts() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b"y" * 65536
            yield b""

    async def ask(client: httpx.AsyncClient) -> None:
        assert (await client.put("/files/a", content=parts())).json() == {"bytes": 6_553_600}
        kind = {"content-type": "application/json"}
        too_long = await client.post("/echo", content=b"x" * 1001, headers=kind)
        assert too_long.status_code == 413
        fits = await client.post("/echo", content=b"x" * 1000, headers=kind)
        assert fits.json()["size"] == 1000

    asking(small, ask)


def test_streams_files_and_heads_go_out(small: Application) -> None:
    """Every kind of answer: a stream, part of a file, the head alone, nothing."""

    async def ask_small(client: httpx.AsyncClient) -> None:
        assert len((await client.get("/stream")).content) == 1_000_000
        assert (await client.head("/health")).headers["content-length"] == "2"

    async def ask_echo(client: httpx.AsyncClient) -> None:
        whole = Path(__file__).with_name("loop_server.py").read_bytes()
        some = await client.get("/file", headers={"bytes": "7-1700"})
        assert some.content == whole[7:1700]
        assert some.headers["content-length"] == "1693"
        head = await client.head("/file", headers={"bytes": "7-1700"})
        assert (head.content, head.headers["content-length"]) == (b"", "1693")
        assert (await client.get("/nothing")).status_code == 204

    asking(small, ask_small)
    asking(Echo(), ask_echo)


@pytest.mark.parametrize("path", ["/breaks", "/silent"])
def test_an_answer_that_breaks_is_the_servers_to_cut_off(path: str) -> None:
    """The error goes on to the server, which alone can end the connection."""

    async def ask(client: httpx.AsyncClient) -> None:
        await client.get(path)

    with pytest.raises((ZeroDivisionError, RuntimeError)):
        asking(Echo(), ask)


def test_a_path_is_below_the_place_of_mounting() -> None:
    """A framework that mounts the application leaves the prefix in the path, and names it."""
    sent = converse(
        Echo(),
        {"type": "http", "method": "GET", "path": "/models/a", "root_path": "/models"},
        {"type": "http.request", "body": b"", "more_body": False},
    )
    assert sent[1]["body"].startswith(b"GET /a? 0 ")


def test_a_client_that_left_tears_its_body() -> None:
    """Half a body is never taken for a whole one."""
    with pytest.raises(Exception, match="before it was whole"):
        converse(
            Echo(),
            {"type": "http", "method": "POST", "path": "/a"},
            {"type": "http.request", "body": b"half", "more_body": True},
            {"type": "http.disconnect"},
        )


def test_the_lifespan_is_told_as_asgi_has_it() -> None:
    """Startup and shutdown are acknowledged; an error at the start is said, and raised."""
    start, end = {"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}
    sent = converse(Echo(), {"type": "lifespan"}, start, end)
    assert [one["type"] for one in sent] == [
        "lifespan.startup.complete",
        "lifespan.shutdown.complete",
    ]

    @asynccontextmanager
    async def fails() -> AsyncIterator[Any]:
        if sent:
            raise OSError("no such workspace")
        yield None

    said: list[Any] = []

    async def run() -> None:
        await Asgi(fails)({"type": "lifespan"}, _messages(start), _into(said))

    with pytest.raises(OSError, match="no such"):
        asyncio.run(run())
    assert said == [{"type": "lifespan.startup.failed", "message": "no such workspace"}]


def test_without_its_lifespan_it_says_what_is_missing() -> None:
    """Frameworks do not start what is mounted in them; the answer tells how it is done."""
    said: list[Any] = []

    @asynccontextmanager
    async def life() -> AsyncIterator[Any]:
        yield Echo()

    async def run() -> None:
        scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
        await Asgi(life)(scope, _messages(), _into(said))

    asyncio.run(run())
    assert said[0]["status"] == 503
    assert b"lifespan" in said[1]["body"]


def test_websockets_are_declined() -> None:
    """A protocol that nobody speaks here is closed, not left hanging."""
    assert converse(Echo(), {"type": "websocket", "path": "/"}) == [{"type": "websocket.close"}]


def converse(app: Any, scope: dict[str, Any], *messages: dict[str, Any]) -> list[Any]:
    """What the application sends in answer to messages."""

    @asynccontextmanager
    async def life() -> AsyncIterator[Any]:
        yield app

    said: list[Any] = []

    async def run() -> None:
        asgi = Asgi(life)
        if scope["type"] == "lifespan":
            await asgi(scope, _messages(*messages), _into(said))
            return
        async with asgi.lifespan():
            await asgi({"headers": [], **scope}, _messages(*messages), _into(said))

    asyncio.run(run())
    return said


def _messages(*messages: dict[str, Any]) -> Callable[[], Awaitable[Any]]:
    left = iter(messages)

    async def receive() -> Any:
        return next(left)

    return receive


def _into(said: list[Any]) -> Callable[[Any], Awaitable[None]]:
    async def send(message: Any) -> None:
        said.append(message)

    return send
