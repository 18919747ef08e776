"""A packaged model served as a container serves it: SageMaker's contract, on a real process."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import httpx
import pytest
from packaged_models import packaged_folder, rows_csv

from mainspring._entrypoints.inference.packaged import drop_oldest


@contextmanager
def serving(folder, *words, **environment):
    """``mainspring serve`` as an image starts it, and the address that it says it answers at."""
    keep = {k: v for k, v in os.environ.items() if not k.startswith("MAINSPRING_")}
    process = subprocess.Popen(
        [sys.executable, "-m", "mainspring", "serve", str(folder), "--port", "0", *words],
        stderr=subprocess.PIPE,
        text=True,
        env={**keep, **environment},
    )
    try:
        line = ""
        while "answers at" not in line:
            line = process.stderr.readline()
            assert line, "it ended before it answered"
        address = line.split()[-1].replace("0.0.0.0", "127.0.0.1")  # noqa: S104 - read, not bound
        with httpx.Client(base_url=address, timeout=10) as client:
            yield process, client
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        process.stderr.close()


def tree(folder):
    return {
        path.relative_to(folder): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_the_contract_of_a_bring_your_own_container(tmp_path):
    """/ping answers 200 under any name, /invocations takes CSV and JSON, the model is not touched.

    Source: Amazon SageMaker AI developer guide, "Custom inference code with hosting services".
    """
    folder, expected = packaged_folder(tmp_path)
    before = tree(folder)
    with serving(folder) as (process, client):
        ping = client.get("/ping", headers={"Host": "model.example:8080"})
        assert ping.status_code == 200
        body = {"dataframe_split": {"columns": ["miles", "carrier"], "data": [[3.0, "UA"]]}}
        answer = client.post("/invocations", json=body, headers={"Host": "abc"})
        assert answer.json()["predictions"] == expected[:1].tolist()
        answer = client.post(
            "/invocations", content=rows_csv(), headers={"Content-Type": "text/csv"}
        )
        assert answer.json()["predictions"] == expected.tolist()
        bad = client.post("/invocations", json={"instances": "?"})
        assert bad.status_code == 400
        process.send_signal(signal.SIGTERM)
        started = time.monotonic()
        assert process.wait(30) == 0
        assert time.monotonic() - started < 30
    assert tree(folder) == before


def test_the_open_inference_protocol_in_the_same_port(tmp_path):
    """What KServe asks: readiness by model, metadata, infer; the deploying addresses stay shut."""
    folder, expected = packaged_folder(tmp_path)
    with serving(folder) as (_, client):
        assert client.get("/v2/models/late/ready").json()["ready"] is True
        inputs = [
            {"name": "miles", "shape": [1], "datatype": "FP64", "data": [3.0]},
            {"name": "carrier", "shape": [1], "datatype": "BYTES", "data": ["UA"]},
        ]
        answer = client.post("/v2/models/late/infer", json={"inputs": inputs}).json()
        scores = [one["data"] for one in answer["outputs"] if one["name"] == "score"]
        assert scores == [expected[:1].tolist()]
        assert client.put("/control/routes/late", json={}).status_code == 401
        foreign = client.get("/v2", headers={"Origin": "https://elsewhere.example"})
        assert foreign.status_code == 403


def test_a_token_closes_it_but_not_its_health(tmp_path):
    """With MAINSPRING_TOKEN predictions and metrics take it, probes do not."""
    folder, _ = packaged_folder(tmp_path)
    token = "0123456789abcdef"
    with serving(folder, MAINSPRING_TOKEN=token) as (_, client):
        assert client.get("/ping").status_code == 200
        assert client.get("/metrics").status_code == 401
        known = {"Authorization": f"Bearer {token}"}
        assert client.get("/metrics", headers=known).status_code == 200
        body = {"dataframe_split": {"columns": ["miles", "carrier"], "data": [[3.0, "UA"]]}}
        assert client.post("/invocations", json=body).status_code == 401
        assert client.post("/invocations", json=body, headers=known).status_code == 200


def test_records_stay_in_the_state_folder(tmp_path):
    """With --state every answer's record is on disk when the process has ended."""
    folder, _ = packaged_folder(tmp_path)
    state = tmp_path / "state"
    with serving(folder, "--state", str(state)) as (process, client):
        body = {"dataframe_split": {"columns": ["miles", "carrier"], "data": [[3.0, "UA"]]}}
        assert client.post("/invocations", json=body).status_code == 200
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    (segment,) = (state / "records").glob("*.segment")
    assert segment.stat().st_size > 100


def test_a_folder_without_a_model_is_not_found(tmp_path):
    """Exit code 3, and the hint says what to give it."""
    done = subprocess.run(
        [sys.executable, "-m", "mainspring", "serve", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 3
    assert "models package --as container" in " ".join(done.stderr.split())


@pytest.mark.parametrize(("most_bytes", "left"), [(25, 2), (30, 3), (0, 0)])
def test_the_oldest_records_go_first(tmp_path, most_bytes, left):
    """Sealed segments are dropped oldest first until the rest fits; an open one is never touched."""
    names = [f"{number:012x}.segment" for number in range(3)]
    for name in (*names, "000.open"):
        (tmp_path / name).write_bytes(b"x" * 10)
    assert drop_oldest(tmp_path, most_bytes) == 3 - left
    assert sorted(path.name for path in tmp_path.glob("*.segment")) == names[3 - left :]
    assert (tmp_path / "000.open").exists()
