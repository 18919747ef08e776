"""Input that means harm: a proper 4xx or a closed connection, nobody else harmed, memory bounded."""

from __future__ import annotations

import gzip
import resource
import socket
import time
import zlib
from pathlib import Path

import httpx
import pytest
from tests import needs

URL = "/v2/models/late/infer"
BODY = b'{"instances": [[2.0, 0.0, "AA"]]}'
IDLE = 5000


def tensors(**changed):
    """Three good inputs, one part of one of them changed."""
    inputs = [
        {"name": "miles", "datatype": "FP64", "shape": [1], "data": [2.0]},
        {"name": "wind", "datatype": "FP64", "shape": [1], "data": [0.0]},
        {"name": "carrier", "datatype": "BYTES", "shape": [1], "data": ["AA"]},
    ]
    inputs[0].update(changed)
    return {"inputs": inputs}


HOSTILE = {
    "a product beyond 64 bits": tensors(shape=[2**62, 2**62, 2**62]),
    "a dimension beyond 64 bits": tensors(shape=[10**30]),
    "a negative dimension": tensors(shape=[-1]),
    "two negative dimensions": tensors(shape=[-1, -1]),
    "no dimension": tensors(shape=[]),
    "a million dimensions": tensors(shape=[9 * 10**18] * 100_000),
    "a dimension that is a text": tensors(shape=["1"]),
    "a dimension that is a fraction": tensors(shape=[1.5]),
    "a huge shape without values": tensors(shape=[50_000_000]),
    "a matrix that overflows": {
        "inputs": [{"name": "m", "datatype": "FP64", "shape": [2**40, 2**40], "data": [1.0]}]
    },
    "ragged rows": tensors(shape=[2, 1], data=[[1.0], [2.0, 3.0]]),
    "deep nesting": tensors(data=[[[[[[1.0]]]]]]),
    "a text for a number": tensors(data=["2.0"]),
    "an object for a number": tensors(data=[{}]),
    "a number beyond floating point": tensors(datatype="INT64", data=[10**400]),
    "an unknown datatype": tensors(datatype="FP8"),
    "an unknown name": tensors(name="height"),
    "the same name twice": tensors(name="wind"),
    "raw bytes that are not there": tensors(parameters={"binary_data_size": 10**12}),
    "raw bytes of a negative size": tensors(parameters={"binary_data_size": -8}),
    "raw bytes of a size that is a truth": tensors(parameters={"binary_data_size": True}),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_hostile_tensors_are_refused_at_once(gateway, what):
    """Each is a 400 in the protocol's form, within a second, and the next question is answered."""
    started = time.monotonic()
    response = gateway.http.post(URL, json=HOSTILE[what])
    assert time.monotonic() - started < 5
    assert response.status_code == 400, response.text
    assert response.json().keys() == {"error"}
    assert gateway.http.post(URL, json=tensors()).status_code == 200


@pytest.mark.parametrize("pack", [gzip.compress, zlib.compress])
@pytest.mark.parametrize("path", [URL, "/invocations"])
def test_a_packed_bomb_is_refused_within_memory(gateway, pack, path):
    """Half a gigabyte of zeros in half a megabyte: refused, and never unpacked whole."""
    before = peak_bytes(gateway.process)
    name = "gzip" if pack is gzip.compress else "deflate"
    response = gateway.http.post(
        path, content=pack(bytes(512 << 20)), headers={"content-encoding": name}
    )
    assert response.status_code in {400, 413}
    assert peak_bytes(gateway.process) - before < 300 << 20


def peak_bytes(process) -> int:
    lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM:")).split()[1]) * 1024


def connection(gateway) -> socket.socket:
    made = socket.create_connection(("127.0.0.1", int(gateway.url.rpartition(":")[2])))
    made.settimeout(60)
    return made


@pytest.mark.slow
def test_a_head_that_drips_is_closed(gateway):
    """A request line and then a byte now and then: closed after the time for heads."""
    with connection(gateway) as one:
        one.sendall(b"POST /invocations HTTP/1.1\r\nHost: 127.0.0.1\r\n")
        one.settimeout(1)
        started = time.monotonic()
        while time.monotonic() - started < 40:
            try:
                one.sendall(b"X")
                if not one.recv(4096).startswith(b"HTTP/1.1 200"):
                    break
            except TimeoutError:
                continue
            except OSError:
                break
        assert time.monotonic() - started < 30
    assert gateway.http.post("/invocations", content=BODY).status_code == 200


@pytest.mark.slow
def test_a_body_that_drips_is_given_up(gateway):
    """A body that comes a byte a second is answered with a 4xx after half a minute."""
    with connection(gateway) as one:
        head = (
            f"POST /invocations HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(BODY)}\r\n\r\n"
        )
        one.sendall(head.encode())
        one.settimeout(1)
        answer = b""
        for place in range(60):
            try:
                if place < 20:
                    one.sendall(BODY[place : place + 1])
                answer = one.recv(4096)
                break
            except TimeoutError:
                continue
        assert answer.startswith(b"HTTP/1.1 4"), answer
    assert gateway.http.post("/invocations", content=BODY).status_code == 200


@pytest.mark.slow
def test_five_thousand_idle_connections_harm_nobody(gateway):
    """With 5,000 connections that say nothing, questions are answered and memory stays bounded."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < IDLE + 500:
        needs.refused("so many files", f"{hard} may be open")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, IDLE + 500), hard))
    resource.prlimit(gateway.process.pid, resource.RLIMIT_NOFILE, (max(soft, IDLE + 500), hard))
    assert gateway.http.post("/invocations", content=BODY).status_code == 200
    before = peak_bytes(gateway.process)
    idle = []
    try:
        idle += [connection(gateway) for _ in range(IDLE)]
        for _ in range(50):
            started = time.monotonic()
            assert gateway.http.post("/invocations", content=BODY).status_code == 200
            assert time.monotonic() - started < 5
        assert peak_bytes(gateway.process) - before < 200 << 20
        started = time.monotonic()  # and who comes new is not kept waiting
        assert httpx.post(f"{gateway.url}/invocations", content=BODY).status_code == 200
        assert time.monotonic() - started < 5
    finally:
        for one in idle:
            one.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert gateway.http.post("/invocations", content=BODY).status_code == 200
