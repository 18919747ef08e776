"""Input that means harm, over gRPC: a proper code and no harm, as over REST."""

from __future__ import annotations

import json
import resource
import socket
import threading
import time
from contextlib import suppress

import pytest
from test_hostile import peak_bytes
from tests import needs

from mainspring._entrypoints.inference.packing import BODY_LIMIT_BYTES

with suppress(ModuleNotFoundError):
    import grpc
    from tritonclient.grpc import service_pb2

pytestmark = [pytest.mark.services, pytest.mark.filterwarnings("ignore::DeprecationWarning")]
IDLE = 5000
PATH = "/inference.GRPCInferenceService/ModelInfer"


@pytest.fixture(autouse=True, scope="module")
def _installed():
    needs.module("tritonclient.grpc")


def request(name="miles", datatype="FP64", shape=(1,), values=(2.0,), **more):
    """Three good inputs, one of them changed."""
    asked = service_pb2.ModelInferRequest(model_name="late", **more)
    one = asked.inputs.add(name=name, datatype=datatype, shape=shape)
    one.contents.fp64_contents.extend(values)
    two = asked.inputs.add(name="wind", datatype="FP64", shape=[1])
    two.contents.fp64_contents.append(0.0)
    three = asked.inputs.add(name="carrier", datatype="BYTES", shape=[1])
    three.contents.bytes_contents.append(b"AA")
    return asked


def raw(*contents: bytes):
    """Raw contents for three inputs."""
    asked = request()
    for one in asked.inputs:
        one.ClearField("contents")
    asked.raw_input_contents.extend(contents)
    return asked


GOOD = (b"\0" * 8, b"\0" * 8, b"\2\0\0\0AA")
HOSTILE = {
    "a product beyond 64 bits": lambda: request(shape=[2**62, 2**62, 2**62]),
    "a matrix that overflows": lambda: request(name="m", shape=[2**40, 2**40]),
    "two negative dimensions": lambda: request(shape=[-1, -1]),
    "a dimension that is the smallest number": lambda: request(shape=[-(2**63)]),
    "no dimension": lambda: request(shape=[]),
    "a hundred thousand dimensions": lambda: request(shape=[2**62] * 100_000),
    "a huge shape without values": lambda: request(shape=[50_000_000], values=[]),
    "more values than its shape": lambda: request(values=[1.0] * 1000),
    "rows that differ from the others": lambda: request(shape=[2], values=[1.0, 2.0]),
    "an unknown name": lambda: request(name="height"),
    "the same name twice": lambda: request(name="wind"),
    "a name of a million letters": lambda: request(name="x" * 1_000_000),
    "an unknown datatype": lambda: request(datatype="FP8"),
    "raw bytes that are too few": lambda: raw(b"\0" * 7, *GOOD[1:]),
    "raw bytes that are too many": lambda: raw(b"\0" * 16, *GOOD[1:]),
    "a raw text that says it is longer": lambda: raw(*GOOD[:2], b"\xff\xff\xff\xffAA"),
    "a raw text that is no text": lambda: raw(*GOOD[:2], b"\2\0\0\0\xff\xfe"),
    "an unknown output": lambda: request(outputs=[{"name": "nothing"}]),
}


@pytest.fixture
def address(gateway):
    return json.loads((gateway.folder / "gateway.json").read_bytes())["grpc"]


@pytest.fixture
def channel(address):
    options = [("grpc.max_send_message_length", -1)]
    with grpc.insecure_channel(address, options) as channel:
        yield channel


def answered(channel) -> bool:
    """Whether a good question is answered."""
    data = channel.unary_unary(PATH)(request().SerializeToString(), timeout=30)
    return len(service_pb2.ModelInferResponse.FromString(data).outputs) == 2


@pytest.mark.parametrize("what", HOSTILE)
def test_hostile_messages_are_refused_at_once(channel, what):
    """Each is INVALID_ARGUMENT, within a moment, and the next question is answered."""
    started = time.monotonic()
    with pytest.raises(grpc.RpcError) as raised:
        channel.unary_unary(PATH)(HOSTILE[what]().SerializeToString(), timeout=30)
    assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT, raised.value
    assert time.monotonic() - started < 5
    assert answered(channel)


@pytest.mark.parametrize("algorithm", ["Gzip", "Deflate"])
def test_a_packed_bomb_is_refused_within_memory(gateway, channel, algorithm):
    """Twice the limit in zeros, packed a thousand times smaller: refused while it is unpacked."""
    before = peak_bytes(gateway.process)
    with pytest.raises(grpc.RpcError) as raised:
        channel.unary_unary(PATH)(
            bytes(2 * BODY_LIMIT_BYTES),
            timeout=60,
            compression=getattr(grpc.Compression, algorithm),
        )
    assert raised.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert peak_bytes(gateway.process) - before < 300 << 20
    assert answered(channel)


def connection(address: str) -> socket.socket:
    made = socket.create_connection(("127.0.0.1", int(address.rpartition(":")[2])))
    made.settimeout(20)
    return made


def test_half_a_conversation_harms_nobody(address, channel):
    """Silent connections, half prefaces and other protocols: calls are answered as before."""
    opened = [connection(address) for _ in range(300)]
    for number, one in enumerate(opened):
        said = (b"", b"PRI * HTTP/2.0\r\n", b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02")[
            number % 4
        ]
        with suppress(OSError):
            one.sendall(said)
    assert all(answered(channel) for _ in range(20))
    for one in opened:
        one.close()
    assert answered(channel)


@pytest.mark.slow
def test_a_message_that_never_comes_is_given_up(channel):
    """Calls that are opened and stay silent end with a code; others are answered meanwhile."""
    ended = threading.Event()

    def silent():
        ended.wait(60)
        yield from ()

    call = channel.stream_unary(PATH).future(silent(), timeout=60)
    call.add_done_callback(lambda _: ended.set())
    assert answered(channel)
    with pytest.raises(grpc.RpcError) as raised:
        call.result(60)
    assert raised.value.code() in {
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.DEADLINE_EXCEEDED,
    }
    assert answered(channel)


@pytest.mark.slow
def test_five_thousand_idle_connections_harm_nobody(gateway, address, channel):
    """With 5,000 connections that say nothing calls are answered, and memory stays bounded."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < IDLE + 500:
        needs.refused("so many files", f"{hard} may be open")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, IDLE + 500), hard))
    resource.prlimit(gateway.process.pid, resource.RLIMIT_NOFILE, (max(soft, IDLE + 500), hard))
    assert answered(channel)
    before = peak_bytes(gateway.process)
    idle = []
    try:
        idle += [connection(address) for _ in range(IDLE)]
        for _ in range(50):
            started = time.monotonic()
            assert answered(channel)
            assert time.monotonic() - started < 5
        assert peak_bytes(gateway.process) - before < 600 << 20
        with grpc.insecure_channel(address, [("grpc.use_local_subchannel_pool", 1)]) as new:
            assert answered(new)
    finally:
        for one in idle:
            one.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert answered(channel)
