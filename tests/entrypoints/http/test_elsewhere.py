"""Our applications on a server that is not ours: what they take of RSGI is the specification's."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import msgspec
import pytest
from http_probe import free_port

import mainspring as ms
from mainspring.core.digest import canonical_json
from mainspring.core.schema import InputColumn, Signature
from mainspring.registry.manifest import Decision, Manifest
from mainspring.serving import Route, Variant

pytestmark = pytest.mark.slow
LINEAR = {
    "version": 1,
    "link": "identity",
    "intercept": 0.25,
    "numbers": {"miles": {"weight": 0.125, "missing_weight": 0.5}},
    "categories": {},
}


@contextmanager
def granian(kind: str, folder: Path) -> Iterator[httpx.Client]:
    """A client of an application under Granian in a process of its own."""
    port, script = free_port(), Path(__file__).with_name("granian_server.py")
    words = [sys.executable, str(script), kind, str(folder), str(port)]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        transport = httpx.HTTPTransport(retries=5)
        with httpx.Client(
            base_url=f"http://127.0.0.1:{port}", transport=transport, timeout=20
        ) as client:
            yield client
        process.terminate()
        process.wait(20)
    finally:
        process.kill()
        process.communicate()


def test_the_gateway_runs_under_granian(tmp_path: Path) -> None:
    """It is deployed to, answers both of its JSON wires, and refuses what it refuses."""
    with ms.open(tmp_path) as workspace:
        manifest = Manifest(
            name="late",
            task="binary",
            runtime="linear",
            signature=Signature((InputColumn("miles", "number"),), "probability"),
            files={"linear.json": workspace.objects.put(msgspec.json.encode(LINEAR))},
            decision=Decision(threshold=0.5),
        )
        digest = workspace.objects.put(canonical_json(manifest))
    route = Route(variants=(Variant(name="champion", model=digest, version="1"),))
    with granian("gateway", tmp_path) as client:
        token = (tmp_path / "serving" / "control.token").read_text().strip()
        headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
        path, content = "/control/routes/late", msgspec.json.encode(route)
        assert client.put(path, content=content, headers=headers).status_code == 200
        tensor = {"name": "miles", "datatype": "FP64", "shape": [2], "data": [2.0, 4.0]}
        answer = client.post("/v2/models/late/infer", json={"inputs": [tensor]}).json()
        assert answer["outputs"][0]["data"] == [0.5, 0.75]
        parts = (part for part in (b'{"instances": ', b"[[2.0]]}"))
        assert client.post("/invocations", content=parts).status_code == 200
        assert client.post("/invocations", content=b"{").status_code == 400
        assert client.head("/v2/health/ready").content == b""


def test_the_tracking_server_runs_under_granian(tmp_path: Path) -> None:
    """Runs, artifacts up and down in streams, files in parts; a torn upload is no artifact."""
    with granian("tracking", tmp_path) as client:
        assert client.get("/health").status_code == 200
        api = "/api/2.0/mlflow"
        made = client.post(f"{api}/experiments/create", json={"name": "one"}).json()
        run = client.post(f"{api}/runs/create", json={"experiment_id": made["experiment_id"]})
        uri = run.json()["run"]["info"]["artifact_uri"].removeprefix("mlflow-artifacts:")
        path = f"/api/2.0/mlflow-artifacts/artifacts{uri}/large.bin"
        body = bytes(range(256)) * 20_000
        chunks = (body[at : at + 65536] for at in range(0, len(body), 65536))
        assert client.put(path, content=chunks).status_code == 200
        assert client.get(path).content == body
        torn = path.replace("large", "torn")
        host, port = str(client.base_url.host), client.base_url.port
        with socket.create_connection((host, port or 80)) as half:
            head = (
                f"PUT {torn} HTTP/1.1\r\nHost: {host}:{port}\r\nTransfer-Encoding: chunked\r\n\r\n"
            )
            half.sendall(head.encode() + b"5\r\nhello\r\n")
    with granian("tracking", tmp_path) as client:
        assert client.get(torn).status_code == 404
        assert client.get(path).content == body
