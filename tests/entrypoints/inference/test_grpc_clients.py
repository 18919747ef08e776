"""The Open Inference Protocol over gRPC: NVIDIA's own client, and raw calls, against a gateway."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress

import numpy as np
import pytest
from command_gateway import CommandGateway
from tests import needs

from mainspring._entrypoints.inference.packing import BODY_LIMIT_BYTES

with suppress(ModuleNotFoundError):
    import grpc
    import tritonclient.grpc as triton
    from tritonclient.grpc import aio, service_pb2
    from tritonclient.utils import InferenceServerException

pytestmark = [pytest.mark.services, pytest.mark.filterwarnings("ignore::DeprecationWarning")]
EXPECTED = [0.5, 0.8125, 0.40625]


@pytest.fixture(autouse=True, scope="session")
def _installed():
    needs.module("tritonclient.grpc")


def inputs():
    columns = {
        "miles": ("FP64", np.array([2.0, np.nan, 1.0])),
        "wind": ("FP32", np.zeros(3, np.float32)),
        "carrier": ("BYTES", np.array(["AA", "UA", "none such"], object)),
    }
    made = []
    for name, (datatype, values) in columns.items():
        made.append(triton.InferInput(name, [3], datatype))
        made[-1].set_data_from_numpy(values)
    return made


@pytest.fixture
def address(gateway):
    return json.loads((gateway.folder / "gateway.json").read_bytes())["grpc"]


@pytest.fixture
def client(address):
    with triton.InferenceServerClient(address) as client:
        yield client


@pytest.fixture
def call(address):
    """One call with any bytes: the answer, or the error."""
    with grpc.insecure_channel(address, [("grpc.max_send_message_length", -1)]) as channel:

        def one(name, data, metadata=()):
            made = channel.unary_unary(f"/inference.GRPCInferenceService/{name}")
            return made(data, timeout=30, metadata=metadata)

        yield one


def typed(**changed):
    """A request with typed contents, one part of it changed."""
    request = service_pb2.ModelInferRequest(model_name="late", id="q7")
    columns = {
        "miles": ("FP64", "fp64_contents", [2.0, 4.5, 1.0]),
        "wind": ("INT32", "int_contents", [0, 0, 0]),
        "carrier": ("BYTES", "bytes_contents", [b"AA", b"UA", b"ZZ"]),
    }
    for name, column in columns.items():
        datatype, field, values = changed.get(name, column)
        tensor = request.inputs.add(name=name, datatype=datatype, shape=changed.get("shape", [3]))
        getattr(tensor.contents, field).extend(values)
    return request


def test_everything_the_client_asks_about_the_server(client):
    """Health, metadata, index, configuration, statistics: every call is answered."""
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("late")
    assert client.is_model_ready("late", "3")
    assert client.is_model_ready("other") is False
    assert client.is_model_ready("late", "4") is False
    assert "binary_tensor_data" in client.get_server_metadata().extensions
    metadata = client.get_model_metadata("late")
    assert [(i.name, i.datatype, list(i.shape)) for i in metadata.inputs] == [
        ("miles", "FP64", [-1]),
        ("wind", "FP64", [-1]),
        ("carrier", "BYTES", [-1]),
    ]
    config = client.get_model_config("late").config
    assert (config.name, config.backend, config.input[2].data_type) == ("late", "mainspring", 13)
    assert client.get_model_repository_index().models[0].state == "READY"
    client.infer("late", inputs())
    stats = client.get_inference_statistics("late").model_stats[0]
    assert stats.inference_count >= 3
    assert stats.inference_stats.success.ns > 0


def test_raw_contents(client):
    """What the client does by default works, exactly, with our words beside it."""
    result = client.infer("late", inputs(), request_id="q7", model_version="3")
    assert result.as_numpy("score").tolist() == EXPECTED
    assert result.as_numpy("decision").tolist() == [True, True, False]
    said = result.get_response()
    assert (said.id, said.model_version) == ("q7", "3")
    assert said.parameters["variant"].string_param == "champion"


def test_packed_messages(client):
    """Gzip on the wire changes nothing."""
    result = client.infer("late", inputs(), compression_algorithm="gzip")
    assert result.as_numpy("score").tolist() == EXPECTED


def test_typed_contents(call):
    """Who sends typed contents is answered in typed contents."""
    said = service_pb2.ModelInferResponse.FromString(
        call("ModelInfer", typed().SerializeToString())
    )
    scores = {one.name: one.contents for one in said.outputs}
    assert list(scores["score"].fp64_contents) == [0.5, 0.875, 0.40625]
    assert list(scores["decision"].bool_contents) == [True, True, False]
    assert not said.raw_output_contents


def test_outputs_on_wish(client):
    """Only the outputs asked for come."""
    result = client.infer("late", inputs(), outputs=[triton.InferRequestedOutput("score")])
    assert result.as_numpy("score").tolist() == EXPECTED
    assert result.as_numpy("decision") is None


def stored_rows(gateway) -> int:
    gateway.control.seal_records()
    lines = gateway.http.get("/metrics").text.splitlines()
    return int(
        next(x for x in lines if x.startswith("mainspring_records_stored_rows_total ")).split()[1]
    )


def test_own_ids_and_entities_come_as_json_lists(client, gateway):
    """Values per row travel in a text parameter; the record is durable when the answer comes."""
    stored = stored_rows(gateway)
    told = {"prediction_ids": '["a1", "a2", "a3"]', "entity": '["x", "y", "z"]', "durable": True}
    client.infer("late", inputs(), parameters=told)
    assert stored_rows(gateway) == stored + 3
    with pytest.raises(InferenceServerException, match="prediction_ids"):
        client.infer("late", inputs(), parameters={"prediction_ids": '["a1"]'})


def test_errors_have_the_codes_of_the_protocol(client):
    """Unknown names and wrong tensors arrive as the client's exception, with code and our words."""
    for name, version, code, words in (
        ("other", "", "NOT_FOUND", "endpoint_not_found"),
        ("late", "9", "NOT_FOUND", "version"),
    ):
        with pytest.raises(InferenceServerException, match=words) as raised:
            client.infer(name, inputs(), model_version=version)
        assert raised.value.status() == f"StatusCode.{code}"
    with pytest.raises(InferenceServerException, match="missing_input") as raised:
        client.infer("late", inputs()[:1])
    assert raised.value.status() == "StatusCode.INVALID_ARGUMENT"


HOSTILE = {
    "no protobuf": lambda: b"\xff\xff\xff\xff\xff",
    "contents of another kind": lambda: typed(miles=("FP64", "bytes_contents", [b"x"] * 3)),
    "too few values": lambda: typed(miles=("FP64", "fp64_contents", [1.0])),
    "an unknown datatype": lambda: typed(miles=("FP128", "fp64_contents", [1.0] * 3)),
    "16 bit floats, which come raw only": lambda: typed(miles=("FP16", "fp32_contents", [1.0] * 3)),
    "bytes that are no text": lambda: typed(carrier=("BYTES", "bytes_contents", [b"\xff"] * 3)),
    "a negative dimension": lambda: typed(shape=[-3]),
    "a product beyond 64 bits": lambda: typed(shape=[2**62, 2**62]),
    "a thousand dimensions": lambda: typed(shape=[1] * 1000),
    "a category as a number": lambda: typed(carrier=("FP64", "fp64_contents", [1.0] * 3)),
    "no inputs": lambda: service_pb2.ModelInferRequest(model_name="late"),
    "an empty message": lambda: b"",
}


@pytest.mark.parametrize("what", HOSTILE)
def test_hostile_messages_are_the_senders_fault(call, what):
    """Each is refused with a code that says so, and the next question is answered."""
    data = HOSTILE[what]()
    with pytest.raises(grpc.RpcError) as raised:
        call("ModelInfer", data if isinstance(data, bytes) else data.SerializeToString())
    assert raised.value.code() in {
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.NOT_FOUND,
    }, raised.value
    call("ModelInfer", typed().SerializeToString())


def test_raw_and_typed_contents_together_are_refused(call):
    """One or the other, as the specification says; as many raw contents as inputs."""
    both, few = typed(), typed()
    both.raw_input_contents.extend([b"\0" * 24] * 3)
    few.raw_input_contents.append(b"\0" * 24)
    for request in (both, few):
        with pytest.raises(grpc.RpcError) as raised:
            call("ModelInfer", request.SerializeToString())
        assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_a_message_beyond_the_limit_is_refused(call):
    """64 MiB and no more, packed or not."""
    with pytest.raises(grpc.RpcError) as raised:
        call("ModelInfer", bytes(BODY_LIMIT_BYTES + 1))
    assert raised.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_streams_are_not_offered(address):
    """A stream is answered by the protocol's word for 'not here'."""
    with grpc.insecure_channel(address) as channel:
        stream = channel.stream_stream("/inference.GRPCInferenceService/ModelStreamInfer")
        with pytest.raises(grpc.RpcError) as raised:
            list(stream(iter([b""]), timeout=10))
    assert raised.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_load_and_unload_with_the_control_token(gateway, client):
    """Loading reads the routes again; both need the token of the gateway's folder."""
    token = (gateway.folder / "control.token").read_text()
    client.load_model("late", headers={"authorization": f"Bearer {token}"})
    for refused in (client.unload_model, client.load_model):
        with pytest.raises(InferenceServerException) as raised:
            refused("late")
        assert raised.value.status() == "StatusCode.UNAUTHENTICATED"
    assert client.is_model_ready("late")


def test_the_asynchronous_client(address):
    """The aio client too, many questions at once."""

    async def ask():
        async with aio.InferenceServerClient(address) as client:
            assert await client.is_model_ready("late")
            asked = [client.infer("late", inputs()) for _ in range(50)]
            return [one.as_numpy("score").tolist() for one in await asyncio.gather(*asked)]

    assert asyncio.run(ask()) == [EXPECTED] * 50


def test_calls_are_counted_by_their_code(gateway, client):
    """The exposition tells calls that went well from those that did not."""
    client.infer("late", inputs())
    with pytest.raises(InferenceServerException):
        client.infer("late", inputs()[:1])
    text = gateway.http.get("/metrics").text
    assert 'mainspring_gateway_calls_total{code="OK"}' in text
    assert 'mainspring_gateway_calls_total{code="INVALID_ARGUMENT"}' in text


def test_a_refused_call_leaves_no_warning_behind(tmp_path):
    """Its message is never read; the process says nothing of that when it ends."""
    gateway = CommandGateway(tmp_path, "--grpc-port", "0")
    gateway.deploy(1.0)
    address = next(line for line in gateway.said if "gRPC" in line).split()[-1]
    with triton.InferenceServerClient(address) as client:
        for _ in range(3):
            with pytest.raises(InferenceServerException):
                client.unload_model("late")
    assert gateway.stop() == 0
    assert not [line for line in gateway.said if "Warning" in line]
