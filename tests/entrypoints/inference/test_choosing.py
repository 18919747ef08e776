"""Picking the variant or version that answers is a right of its own, on every wire."""

from __future__ import annotations

import json

import pytest
from gateway_process import CHIEF, CLERK

from mainspring._entrypoints.inference.grpc_messages import message

HEADER = {"x-mainspring-variant": "next"}
ROWS = {"columns": ["miles", "wind", "carrier"], "data": [[1.0, 0.0, "AA"]]}
INVOCATION = {"dataframe_split": ROWS}
TENSORS = {
    "inputs": [
        {"name": "miles", "datatype": "FP64", "shape": [1], "data": [1.0]},
        {"name": "wind", "datatype": "FP64", "shape": [1], "data": [0.0]},
        {"name": "carrier", "datatype": "BYTES", "shape": [1], "data": ["AA"]},
    ]
}


def post(gateway, path, body, token, **headers):
    given = {"authorization": f"Bearer {token}", **headers}
    return gateway.http.post(path, json=body, headers=given)


def score(response):
    said = response.json()
    if "predictions" in said:
        return said["predictions"][0]
    return next(o["data"][0] for o in said["outputs"] if o["name"] == "score")


WIRES = [
    ("/v2/models/late/infer", TENSORS),
    ("/invocations", INVOCATION),
    ("/invocations?endpoint=late", INVOCATION),
    ("/endpoints/late/invocations", INVOCATION),
]


@pytest.mark.parametrize(("path", "body"), WIRES)
def test_the_header_takes_the_right(guarded_gateway, path, body):
    """Without it 403, in whatever letters; without the header, and with the right, an answer."""
    assert score(post(guarded_gateway, path, body, CLERK)) == 0.25
    for name in (*HEADER, "X-Mainspring-VARIANT"):
        refused = post(guarded_gateway, path, body, CLERK, **{name: "next"})
        assert refused.status_code == 403, refused.text
        assert "choose variants" in refused.text
    assert score(post(guarded_gateway, path, body, CHIEF, **HEADER)) == 0.75
    assert post(guarded_gateway, path, body, "x" * 20, **HEADER).status_code == 401


def test_decisions_take_the_right_too(guarded_gateway):
    """Refused before anything is looked up."""
    path, body = "/endpoints/late/decisions", {"rows": [{"miles": 1.0}]}
    assert post(guarded_gateway, path, body, CLERK, **HEADER).status_code == 403
    # This gateway has no features: who may ask is told so.
    for token, headers in ((CLERK, {}), (CHIEF, HEADER)):
        found = post(guarded_gateway, path, body, token, **headers)
        assert (found.status_code, found.json()["code"]) == (404, "serving.no_features")


@pytest.mark.parametrize(("version", "expected"), [("1", 0.25), ("2", 0.75)])
def test_the_address_of_a_version_takes_the_right(guarded_gateway, version, expected):
    """It goes around the split as the header does; written oddly it is no address at all."""
    path = f"/v2/models/late/versions/{version}/infer"
    assert post(guarded_gateway, path, TENSORS, CLERK).status_code == 403
    assert score(post(guarded_gateway, path, TENSORS, CHIEF)) == expected
    odd = f"/v2/models/late/%76ersions/{version}/infer"
    assert post(guarded_gateway, odd, TENSORS, CLERK).status_code in {403, 404}
    ready = guarded_gateway.http.get(
        path.replace("infer", "ready"), headers={"authorization": f"Bearer {CLERK}"}
    )
    assert ready.status_code == 200


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_grpc_metadata_and_versions_take_the_right(guarded_gateway):
    """As over REST: refused with PERMISSION_DENIED, and answered to who may."""
    import grpc

    address = json.loads((guarded_gateway.folder / "gateway.json").read_bytes())["grpc"]

    def ask(token, version="", **metadata):
        request = message("ModelInferRequest")(model_name="late", model_version=version)
        for tensor in TENSORS["inputs"]:
            given = request.inputs.add(
                name=tensor["name"], datatype=tensor["datatype"], shape=tensor["shape"]
            )
            if tensor["datatype"] == "BYTES":
                given.contents.bytes_contents.extend(text.encode() for text in tensor["data"])
            else:
                given.contents.fp64_contents.extend(tensor["data"])
        call = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
        sent = (("authorization", f"Bearer {token}"), *metadata.items())
        data = call(request.SerializeToString(), metadata=sent, timeout=20)
        answer = message("ModelInferResponse").FromString(data)
        return answer.outputs[0].contents.fp64_contents[0]

    with grpc.insecure_channel(address) as channel:
        assert ask(CLERK) == 0.25
        for version, metadata in (("", HEADER), ("2", {}), ("1", {}), ("2", HEADER)):
            with pytest.raises(grpc.RpcError) as raised:
                ask(CLERK, version, **metadata)
            assert raised.value.code() == grpc.StatusCode.PERMISSION_DENIED
        assert ask(CHIEF, **HEADER) == 0.75
        assert ask(CHIEF, "2") == 0.75
