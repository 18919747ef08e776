from __future__ import annotations

import base64

import httpx
import pytest
from http_probe import TOKEN, raw

from mainspring._entrypoints._http import OPEN, Doors, OneToken, Response, Route
from mainspring.core.errors import Invalid


def get(port: int, host: str, path: str = "/health", extra: str = "") -> int:
    return raw(port, f"GET {path} HTTP/1.1\r\nHost: {host}\r\n{extra}\r\n")[0]


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "10.x.example",
        "192.168.x.example",
        "localhost.x.example",
        "localhost:1.x.example",
        "127.0.0.1.nip.io",
        "127.0.0.1.",
        "localhost.",
        "LOCALHOST",
        "127.1",
        "0x7f000001",
        "2130706433",
        "[::1",
        "[127.0.0.1]",
        "::1",
        "[localhost]",
        "127.0.0.1:99999",
        "127.0.0.1:",
        "127.0.0.1:80:80",
        "user@127.0.0.1",
        "10.0.0.1",
        "",
    ],
)
@pytest.mark.parametrize("path", ["/health", "/echo", "/nothing"])
def test_names_that_only_look_local_are_refused(open_port: int, host: str, path: str) -> None:
    """Only IP literals of this machine and configured names, exactly, pass; on every route."""
    assert get(open_port, host, path) == 400


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:{port}", "[::1]:{port}", "localhost:80"])
def test_true_local_hosts_pass(open_port: int, host: str) -> None:
    """Clients that name this machine, with any port, get in."""
    assert get(open_port, host.format(port=open_port)) == 200


def test_two_hosts_are_refused(open_port: int) -> None:
    """Two Host headers cannot be played against each other, nor an absolute target."""
    assert get(open_port, "127.0.0.1", extra="Host: evil.example\r\n") == 400
    assert get(open_port, "127.0.0.1", path="http://evil.example/health") == 400
    assert raw(open_port, "GET /health HTTP/1.0\r\n\r\n")[0] == 400


@pytest.mark.parametrize(
    "origin", ["http://evil", "null", "http://localhost:9999", "http://127.0.0.1"]
)
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
def test_pages_of_other_sites_are_refused(open_port: int, origin: str, method: str) -> None:
    """Every method, DELETE too, refuses an Origin that is not exactly this server's."""
    host = f"127.0.0.1:{open_port}"
    status, headers, _ = raw(
        open_port,
        f"{method} /echo HTTP/1.1\r\nHost: {host}\r\nOrigin: {origin}\r\nContent-Length: 0\r\n\r\n",
    )
    assert status == 403
    assert not any(name.startswith("access-control") for name in headers)


def test_own_pages_pass(open_port: int) -> None:
    """A page of this server may call it."""
    host = f"127.0.0.1:{open_port}"
    assert get(open_port, host, "/echo", f"Origin: http://{host}\r\n") == 200


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", None]
)
def test_simple_bodies_are_refused(open_port: int, kind: str | None) -> None:
    """A body that a foreign form could send is not taken for JSON."""
    headers = {"content-type": kind} if kind else {}
    url = f"http://127.0.0.1:{open_port}/echo"
    assert httpx.post(url, content=b"{}", headers=headers).status_code == 415


def test_token_is_asked_everywhere_but_at_the_open_routes(guarded_port: int) -> None:
    """With a token set, only routes declared open answer without it, unknown ones included."""
    url = f"http://127.0.0.1:{guarded_port}"
    assert httpx.get(f"{url}/health").status_code == 200
    for path in ("/echo", "/nothing", "/health/", "/files/health", "//health", "/echo/..%2fhealth"):
        assert httpx.get(url + path).status_code == 401, path
    assert httpx.get(f"{url}/echo", headers={"authorization": "Bearer wrong"}).status_code == 401
    assert httpx.get(f"{url}/echo", auth=("anyone", "wrong")).status_code == 401


def test_token_comes_as_bearer_or_password(guarded_port: int) -> None:
    """Both ways in which MLflow clients send a secret work."""
    url = f"http://127.0.0.1:{guarded_port}/echo"
    basic = base64.b64encode(f"me:{TOKEN}".encode()).decode()
    for value in (f"Bearer {TOKEN}", f"Basic {basic}"):
        assert httpx.get(url, headers={"authorization": value}).status_code == 200


def test_no_start_in_the_open_without_a_token() -> None:
    """Off loopback, a missing or short token stops the start."""
    with pytest.raises(Invalid, match="takes a token"):
        Doors(host="0.0.0.0")
    with pytest.raises(Invalid, match="at least"):
        Doors(host="0.0.0.0", authenticator=OneToken("short"))
    assert Doors(host="0.0.0.0", authenticator=OneToken("x" * 32)).knows("10.0.0.1:80")


def test_a_route_without_a_permission_cannot_be_made() -> None:
    """Forgetting the permission stops the start, not the attacker."""
    with pytest.raises(ValueError, match="no permission"):
        Route("GET", "/x", lambda _: Response(200, []), ("", ""))
    with pytest.raises(TypeError):
        Route("GET", "/x", lambda _: Response(200, []))  # type: ignore[call-arg]
    Route("GET", "/x", lambda _: Response(200, []), OPEN)


def test_security_headers_stand_on_every_answer(open_port: int) -> None:
    """Good and bad answers alike forbid framing, sniffing and foreign script."""
    for path in ("/health", "/nothing", "/broken"):
        headers = httpx.get(f"http://127.0.0.1:{open_port}{path}").headers
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
