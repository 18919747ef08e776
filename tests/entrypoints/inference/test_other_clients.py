"""Other people's own clients, in environments of their own: kserve's two, and MLflow's."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.services
ROOT = Path(__file__).parents[3]
EXPECTED = [0.5, 0.8125, 0.40625]

KSERVE = """
import asyncio, json, sys
from kserve import InferenceGRPCClient, InferenceRESTClient, InferInput, InferRequest
from kserve.inference_client import RESTConfig
import numpy as np

url, grpc_address = sys.argv[1:]

def request(binary):
    miles = InferInput("miles", [3], "FP64")
    miles.set_data_from_numpy(np.array([2.0, np.nan, 1.0]) if binary else np.array([2.0, 4.5, 1.0]),
                              binary_data=binary)
    wind = InferInput("wind", [3], "FP32")
    wind.set_data_from_numpy(np.zeros(3, np.float32), binary_data=binary)
    carrier = InferInput("carrier", [3], "BYTES")
    carrier.set_data_from_numpy(np.array(["AA", "UA", "ZZ"], object), binary_data=binary)
    return InferRequest(model_name="late", infer_inputs=[miles, wind, carrier], request_id="q7")

def scores(response):
    return next(o for o in response.outputs if o.name == "score").as_numpy().tolist()

async def rest(said):
    client = InferenceRESTClient(RESTConfig(protocol="v2"))
    said["rest_live"] = await client.is_server_live(url)
    said["rest_ready"] = await client.is_server_ready(url)
    said["rest_model"] = await client.is_model_ready(url, "late")
    said["rest_none"] = await client.is_model_ready(url, "none")
    said["rest_json"] = scores(await client.infer(url, request(False), model_name="late"))
    said["rest_binary"] = scores(await client.infer(url, request(True), model_name="late"))
    try:
        await client.infer(url, request(True), model_name="none")
    except Exception as error:
        said["rest_error"] = str(error)
    await client.close()

async def grpc(said):
    client = InferenceGRPCClient(grpc_address)
    said["grpc_live"] = await client.is_server_live()
    said["grpc_ready"] = await client.is_server_ready()
    said["grpc_model"] = await client.is_model_ready("late")
    said["grpc_none"] = await client.is_model_ready("none")
    said["grpc_raw"] = scores(await client.infer(request(True)))
    said["grpc_typed"] = scores(await client.infer(request(False)))
    await client.close()

said = {}
asyncio.run(rest(said))
asyncio.run(grpc(said))
print(json.dumps(said))
"""

MLFLOW = """
import json, sys
import pandas as pd
from mlflow.pyfunc.scoring_server.client import ScoringServerClient

host, port = sys.argv[1:]
client = ScoringServerClient(host, int(port))
client.ping()
client.wait_server_ready(timeout=10)
rows = pd.DataFrame({"miles": [2.0, None, 1.0], "wind": [0.0, 0.0, 0.0], "carrier": ["AA", "UA", "ZZ"]})
answer = client.invoke(rows)
said = {"version": client.get_version(), "predictions": answer.get_predictions().iloc[:, 0].tolist()}
try:
    client.invoke(rows[["miles"]])
except Exception as error:
    said["error"] = str(error)
print(json.dumps(said))
"""


def run(environment: str, script: str, *words: str) -> dict:
    sys.path.insert(0, str(ROOT / "scripts"))
    from environments import python_of

    done = subprocess.run(
        [python_of(environment), "-c", script, *words],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_kserves_clients(gateway):
    """REST and gRPC, JSON, binary, raw and typed: health, readiness, exact scores, our errors."""
    address = json.loads((gateway.folder / "gateway.json").read_bytes())["grpc"]
    said = run("kserve", KSERVE, gateway.url, address)
    error = said.pop("rest_error")
    assert "endpoint_not_found" in error
    assert said == {
        "rest_live": True,
        "rest_ready": True,
        "rest_model": True,
        "rest_none": False,
        "rest_json": [0.5, 0.875, 0.40625],
        "rest_binary": EXPECTED,
        "grpc_live": True,
        "grpc_ready": True,
        "grpc_model": True,
        "grpc_none": False,
        "grpc_raw": EXPECTED,
        "grpc_typed": [0.5, 0.875, 0.40625],
    }


def test_mlflows_scoring_client(gateway):
    """Ping, version, a DataFrame with a missing number, and an error in MLflow's words."""
    host, _, port = gateway.url.removeprefix("http://").rpartition(":")
    said = run("mlflow", MLFLOW, host, port)
    assert said["predictions"] == EXPECTED
    assert said["version"]
    assert "wind" in said["error"]
