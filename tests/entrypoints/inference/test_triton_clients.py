"""NVIDIA's own Triton clients, in their default (binary) mode, against a running gateway."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import numpy as np
import pytest
from tests import needs

from mainspring.serving import Variant

with suppress(ModuleNotFoundError):
    import tritonclient.http as triton
    from tritonclient.http import aio
    from tritonclient.utils import InferenceServerException

pytestmark = [pytest.mark.services, pytest.mark.filterwarnings("ignore::DeprecationWarning")]
EXPECTED = [0.5, 0.8125, 0.40625]


def inputs(binary: bool):
    columns = {
        "miles": ("FP64", np.array([2.0, np.nan if binary else 4.5, 1.0])),
        "wind": ("FP32", np.zeros(3, np.float32)),
        "carrier": ("BYTES", np.array(["AA", "UA", "none such"], object)),
    }
    made = []
    for name, (datatype, values) in columns.items():
        made.append(triton.InferInput(name, [3], datatype))
        made[-1].set_data_from_numpy(values, binary_data=binary)
    return made


@pytest.fixture(autouse=True, scope="session")
def _installed():
    needs.module("tritonclient.http")


@pytest.fixture
def client(gateway):
    client = triton.InferenceServerClient(gateway.url.removeprefix("http://"))
    yield client
    client.close()


def test_everything_the_client_asks_about_the_server(client):
    """Health, metadata, index, configuration, statistics: every call is answered."""
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("late")
    assert client.is_model_ready("late", "3")
    assert not client.is_model_ready("other")
    assert "binary_tensor_data" in client.get_server_metadata()["extensions"]
    assert client.get_model_metadata("late")["inputs"][0]["name"] == "miles"
    assert client.get_model_config("late")["max_batch_size"] == 0
    assert client.get_model_repository_index()[0]["state"] == "READY"
    client.infer("late", inputs(binary=True))
    assert client.get_inference_statistics("late")["model_stats"][0]["inference_count"] >= 3


@pytest.mark.parametrize("request_packing", [None, "gzip", "deflate"])
@pytest.mark.parametrize("response_packing", [None, "gzip", "deflate"])
def test_the_default_binary_mode(client, request_packing, response_packing):
    """What the client does by default works, packed or not, exactly."""
    result = client.infer(
        "late",
        inputs(binary=True),
        request_compression_algorithm=request_packing,
        response_compression_algorithm=response_packing,
    )
    assert result.as_numpy("score").tolist() == EXPECTED
    assert result.as_numpy("decision").tolist() == [True, True, False]


@pytest.mark.parametrize("binary", [True, False])
def test_outputs_on_wish(client, binary):
    """Only the outputs asked for come, raw or as JSON."""
    wanted = [triton.InferRequestedOutput("score", binary_data=binary)]
    result = client.infer("late", inputs(binary=True), outputs=wanted, request_id="q7")
    assert result.as_numpy("score").tolist() == EXPECTED
    assert result.as_numpy("decision") is None
    assert result.get_response()["id"] == "q7"


def test_json_mode(client):
    """The same without binary data."""
    result = client.infer("late", inputs(binary=False))
    assert result.as_numpy("score").tolist() == [0.5, 0.25 + 0.125 * 4.5 + 0.0625, 0.40625]


def test_errors_are_the_clients_own(client):
    """An error arrives as the client's exception with our words in it."""
    with pytest.raises(InferenceServerException, match="endpoint_not_found"):
        client.infer("other", inputs(binary=True))
    with pytest.raises(InferenceServerException, match="missing_input"):
        client.infer("late", inputs(binary=True)[:1])


def test_load_and_unload_need_the_control_token(gateway, client):
    """Both need the token of the gateway's folder; loading what is served changes nothing."""
    client.load_model("late", headers=token_of(gateway))
    for refused in (client.unload_model, client.load_model):
        with pytest.raises(InferenceServerException, match="control token"):
            refused("late")
    assert client.is_model_ready("late")


def test_what_was_unloaded_is_loaded_again(own_gateway):
    """By its name, as Triton does it, after a restart too; a name nobody knows is an error."""
    gateway = own_gateway
    gateway.deploy("late", Variant(name="champion", model=gateway.linear(), version="3"))
    headers = token_of(gateway)
    for _ in range(2):
        with triton.InferenceServerClient(gateway.url.removeprefix("http://")) as client:
            before = client.infer("late", inputs(binary=True)).as_numpy("score")
            client.unload_model("late", headers=headers)
            assert not client.is_model_ready("late")
            assert client.get_model_repository_index() == [
                {"name": "late", "version": "3", "state": "UNAVAILABLE", "reason": "unloaded"}
            ]
            with pytest.raises(InferenceServerException, match="endpoint_not_found"):
                client.load_model("latte", headers=headers)
        assert gateway.http.post("/v2/repository/index", json={"ready": True}).json() == []
        gateway.stop()
        gateway.start()
        with triton.InferenceServerClient(gateway.url.removeprefix("http://")) as client:
            client.load_model("late", headers=headers)
            after = client.infer("late", inputs(binary=True)).as_numpy("score")
            assert after.tolist() == before.tolist()
            assert [one["state"] for one in client.get_model_repository_index()] == ["READY"]


def token_of(gateway):
    return {"Authorization": f"Bearer {(gateway.folder / 'control.token').read_text()}"}


@pytest.mark.parametrize("binary", [True, False])
def test_no_rows_have_every_output(client, binary):
    """An empty batch is answered with empty outputs, those that were asked for among them."""
    empty = []
    for name, datatype in (("miles", "FP64"), ("wind", "FP64"), ("carrier", "BYTES")):
        one = triton.InferInput(name, [0], datatype)
        kind = np.float64 if datatype == "FP64" else np.object_
        one.set_data_from_numpy(np.array([], dtype=kind), binary_data=binary)
        empty.append(one)
    wanted = [triton.InferRequestedOutput("decision", binary_data=binary)]
    assert client.infer("late", empty, outputs=wanted).as_numpy("decision").tolist() == []


def test_statistics_of_one_version(own_gateway):
    """Who names a version gets its counts alone."""
    for version in ("1", "2"):
        variant = Variant(name="champion", model=own_gateway.linear(), version=version)
        own_gateway.deploy("late", variant)
        with triton.InferenceServerClient(own_gateway.url.removeprefix("http://")) as client:
            client.infer("late", inputs(binary=True))
            said = client.get_inference_statistics("late", version)["model_stats"]
            assert [one["version"] for one in said] == [version]


def test_the_asynchronous_client(gateway):
    """The aio client's binary mode as well."""

    async def ask():
        async with aio.InferenceServerClient(gateway.url.removeprefix("http://")) as client:
            assert await client.is_model_ready("late")
            return await client.infer("late", inputs(binary=True))

    assert asyncio.run(ask()).as_numpy("score").tolist() == EXPECTED
