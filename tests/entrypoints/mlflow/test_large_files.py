from __future__ import annotations

import hashlib
import socket
from pathlib import Path
from typing import Any

import httpx
import pytest
from wire import Wire, serving

ROOT = "/api/2.0/mlflow-artifacts"


def begun(wire: Wire, folder: str, parts: int, **headers: str) -> dict[str, Any]:
    asked = {"path": "/home/me/größe 1.bin", "num_parts": str(parts)}
    answer = wire.http.post(f"{ROOT}/mpu/create/{folder}", json=asked, headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.json()


def sent(wire: Wire, made: dict[str, Any], *parts: bytes) -> list[dict[str, Any]]:
    named = []
    for credential, data in zip(made["credentials"], parts, strict=True):
        answer = wire.http.put(credential["url"], content=data, headers=credential["headers"])
        etag = answer.headers["etag"]
        assert etag == f'"sha256:{hashlib.sha256(data).hexdigest()}"'
        named.append({"part_number": credential["part_number"], "etag": etag, "url": "x"})
    return named


def ended(wire: Wire, verb: str, folder: str, made: dict[str, Any], parts: Any) -> httpx.Response:
    asked = {"path": "größe 1.bin", "upload_id": made["upload_id"], "parts": parts}
    return wire.http.post(f"{ROOT}/mpu/{verb}/{folder}", json=asked)


def test_a_file_comes_in_parts(wire: Wire) -> None:
    """Created, sent, completed: the file lies under its own name in the folder of the address."""
    folder = f"0/{wire.new_run()}/artifacts/deep"
    made = begun(wire, folder, 2)
    assert [one["part_number"] for one in made["credentials"]] == [1, 2]
    named = sent(wire, made, b"one", b"two")
    for _ in range(2):
        assert ended(wire, "complete", folder, made, named).json() == {}
    assert wire.http.get(f"{ROOT}/artifacts/{folder}/größe 1.bin").content == b"onetwo"


def test_bad_completions_are_refused(wire: Wire) -> None:
    """Missing, doubled, swapped and altered parts are 400, an unknown upload 404; nothing is made."""
    folder = f"0/{wire.new_run()}/artifacts"
    made = begun(wire, folder, 2)
    one, two = sent(wire, made, b"one", b"two")
    swapped = [{**one, "etag": two["etag"]}, {**two, "etag": one["etag"]}]
    for parts in ([], [one], [one, one], [two, one], swapped, [{**one, "part_number": 2**40}, two]):
        answer = ended(wire, "complete", folder, made, parts)
        assert (answer.status_code, answer.json()["error_code"]) == (
            400,
            "INVALID_PARAMETER_VALUE",
        )
    assert ended(wire, "complete", folder, {"upload_id": "x"}, [one, two]).status_code == 404
    assert ended(wire, "complete", "0/other", made, [one, two]).status_code == 404
    assert wire.http.get(f"{ROOT}/artifacts", params={"path": folder}).json() == {}
    assert ended(wire, "abort", folder, made, None).json() == {}
    assert ended(wire, "complete", folder, made, [one, two]).status_code == 404


def test_a_torn_part_has_to_come_again(wire: Wire) -> None:
    """A part whose sender goes away in the middle does not count as arrived."""
    folder = f"0/{wire.new_run()}/artifacts"
    made = begun(wire, folder, 1)
    host, port = wire.address.removeprefix("http://").split(":")
    path = made["credentials"][0]["url"].removeprefix(wire.address)
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        head = f"PUT {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 1000\r\n\r\n"
        connection.sendall(head.encode() + b"x" * 10)
    torn = f"sha256:{hashlib.sha256(b'x' * 10).hexdigest()}"
    answer = ended(wire, "complete", folder, made, [{"part_number": 1, "etag": torn}])
    assert answer.status_code == 400
    named = sent(wire, made, b"whole")
    assert ended(wire, "complete", folder, made, named).status_code == 200


@pytest.mark.parametrize(
    ("folder", "asked"),
    [
        ("0/%2e%2e/x", {"path": "a", "num_parts": 1}),
        ("0/x", {"path": "..", "num_parts": 1}),
        ("0/x", {"path": "a/", "num_parts": 1}),
        ("0/x", {"path": "a\x00b", "num_parts": 1}),
        ("0/x", {"path": "a", "num_parts": -1}),
        ("0/x", {"path": "a", "num_parts": 10_001}),
        ("0/x", {"path": "a", "num_parts": 2**70}),
        ("0/x", {"num_parts": 1}),
    ],
)
def test_bad_beginnings_are_refused(wire: Wire, folder: str, asked: dict[str, Any]) -> None:
    """Paths that climb and odd numbers begin nothing."""
    assert wire.http.post(f"{ROOT}/mpu/create/{folder}", json=asked).status_code == 400


def test_parts_carry_the_senders_own_credentials(wire: Wire) -> None:
    """A client sends nothing by itself to such an address, so it is told to say who it is."""
    made = begun(wire, "0/x", 1, authorization="Bearer mine")
    [credential] = made["credentials"]
    assert credential["headers"] == {"Authorization": "Bearer mine"}
    assert credential["url"].startswith(wire.address)
    assert begun(wire, "0/x", 1)["credentials"][0]["headers"] == {}


def test_downloads_in_ranges(wire: Wire) -> None:
    """The address of a download with the file's size, and any single range of its bytes."""
    root = f"0/{wire.new_run()}/artifacts"
    data = bytes(range(256)) * 10_000
    wire.http.put(f"{ROOT}/artifacts/{root}/a%20b%2525.bin", content=data)
    found = wire.http.get(f"{ROOT}/presigned/{root}/a%20b%2525.bin").json()
    assert found["file_size"] == len(data)
    for header, part in (
        ("bytes=0-0", data[:1]),
        ("bytes=100-299", data[100:300]),
        ("bytes=2559990-", data[-10:]),
        ("bytes=-7", data[-7:]),
        ("bytes=1-2000000", data[1:2_000_001]),
        ("bytes=5-99999999", data[5:]),
    ):
        answer = wire.http.get(found["url"], headers={"range": header, **found["headers"]})
        assert (answer.status_code, answer.content == part) == (206, True), header
        start = int(answer.headers["content-range"].split()[1].split("-")[0])
        assert answer.headers["content-range"].endswith(f"/{len(data)}")
        assert data[start : start + len(part)] == part
    for header in ("bytes=0-1,5-6", "lines=1-2", "bytes=-", "bytes=x-y"):
        answer = wire.http.get(found["url"], headers={"range": header})
        assert (answer.status_code, answer.content == data) == (200, True)
    for header in ("bytes=2560000-", "bytes=9-3", "bytes=-0"):
        assert wire.http.get(found["url"], headers={"range": header}).status_code == 416
    assert wire.http.get(f"{ROOT}/presigned/{root}/nothing").status_code == 404


def test_a_reader_that_stops_holds_no_memory(tmp_path: Path) -> None:
    """The rest of a large file waits on the disk for a slow client, not in memory."""
    size = 120 << 20
    with serving(tmp_path) as (address, process), httpx.Client(base_url=address) as http:
        url = f"{ROOT}/artifacts/0/r/big.bin"
        block = bytes(1 << 20)
        assert http.put(url, content=(block for _ in range(120)), timeout=60).status_code == 200
        host, port = address.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=10) as slow:
            slow.sendall(f"GET {url} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
            assert b"200" in slow.recv(1024)
            with http.stream("GET", url, timeout=60) as answer:
                assert sum(map(len, answer.iter_bytes())) == size
            status = Path(f"/proc/{process.pid}/status").read_text()
        assert int(status.split("VmHWM:")[1].split()[0]) < 110_000  # kB


def test_no_other_address_is_signed(wire: Wire) -> None:
    """All bytes go through this server; who asks for a way around it is told, as MLflow tells."""
    run_id = wire.new_run()
    for what in ("upload", "download"):
        asked = {"run_id": run_id, "path": "a.bin"}
        refused = wire.refused(f"artifacts/presigned-{what}-url", asked)
        assert refused == (400, "INVALID_PARAMETER_VALUE")


def test_damaged_bytes_are_never_sent(tmp_path: Path) -> None:
    """A large file whose stored bytes changed is an error, not a file that is almost right."""
    with serving(tmp_path) as (address, _), httpx.Client(base_url=address) as http:
        url = f"{ROOT}/artifacts/0/r/big.bin"
        assert http.put(url, content=bytes(3 << 20)).status_code == 200
        stored = next(path for path in tmp_path.rglob("objects/*/*/*") if path.is_file())
        with stored.open("r+b") as file:
            file.seek(2 << 20)
            file.write(b"changed")
        for headers in ({}, {"range": "bytes=0-2000000"}):
            answer = http.get(url, headers=headers)
            assert (answer.status_code, answer.json()["error_code"]) == (500, "INTERNAL_ERROR")
            assert "are not those that were put there" in answer.json()["message"]
