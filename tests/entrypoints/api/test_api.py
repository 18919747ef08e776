"""Our own REST, spoken to by HTTP, and its description held against it."""

from __future__ import annotations

import math
import re
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

SERVER = Path(__file__).parents[1] / "mlflow" / "mlflow_server.py"


@pytest.fixture(scope="session")
def http(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    folder = str(tmp_path_factory.mktemp("workspace"))
    process = subprocess.Popen(
        [sys.executable, str(SERVER), folder], stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stderr is not None
        address = process.stderr.readline().split("ready at ")[1].strip()
        with httpx.Client(base_url=f"{address}/api/v1", timeout=30) as client:
            yield client
    finally:
        process.kill()
        process.communicate()


def done(answer: httpx.Response, status: int = 200) -> Any:
    assert answer.status_code == status, answer.text
    return answer.json()


def test_an_experiment_from_making_to_restoring(http: httpx.Client) -> None:
    """Made, found, renamed, deleted, restored."""
    made = done(http.post("/experiments", json={"name": "a", "tags": {"t": "1"}}), 201)
    one = f"/experiments/{made['id']}"
    changed = done(http.patch(one, json={"name": "b", "tags": {"u": "2"}}))
    assert (changed["name"], changed["tags"]) == ("b", {"t": "1", "u": "2"})
    found = done(http.get("/experiments", params={"filter": "name = 'b'"}))
    assert [item["id"] for item in found["items"]] == [made["id"]]
    done(http.delete(one))
    assert done(http.get(one))["state"] == "deleted"
    done(http.post(f"{one}/restore"))
    assert done(http.get(one))["state"] == "active"
    assert http.post("/experiments", json={"name": "b"}).status_code == 409


def test_a_run_is_logged_to_and_found(http: httpx.Client) -> None:
    """A batch is there when it is answered; a search finds it; its end is stored."""
    run = done(http.post("/runs", json={"name": "r", "run_id": "my-own"}), 201)
    again = done(http.post("/runs", json={"name": "r", "run_id": "my-own"}), 201)
    assert run == again
    points = [{"key": "loss", "value": 1 / (s + 1), "step": s, "time_ms": s} for s in range(50)]
    points.append({"key": "nan", "value": None, "time_ms": 1})
    done(http.post("/runs/my-own/batches", json={"points": points, "params": {"p": "1"}}))
    found = done(
        http.get("/runs", params={"filter": "metrics.loss < 0.1", "order_by": "metrics.loss"})
    )
    assert [item["id"] for item in found["items"]] == ["my-own"]
    latest = {key: value for key, value, *_ in found["items"][0]["metrics"]}
    assert latest == {"loss": 0.02, "nan": None}
    ended = done(http.patch("/runs/my-own", json={"status": "FINISHED", "end_ms": 5}))
    assert (ended["status"], ended["end_ms"], ended["params"]) == ("FINISHED", 5, {"p": "1"})
    refused = http.post("/runs/my-own/batches", json={"params": {"p": "2"}})
    assert (refused.status_code, refused.json()["code"]) == (409, "tracking.param_changed")


def test_a_history_as_columns_and_as_bytes(http: httpx.Client) -> None:
    """Both forms hold the same points, page by page, NaN included."""
    run = done(http.post("/runs", json={}), 201)["id"]
    points = [
        {"key": "a/b c", "value": None if s == 3 else s / 7, "step": -s, "time_ms": s}
        for s in range(10)
    ]
    done(http.post(f"/runs/{run}/batches", json={"points": points}))
    path, steps, token = f"/runs/{run}/metrics/a/b%20c", [], None
    while True:
        page = done(http.get(path, params={"limit": 4, **({"token": token} if token else {})}))
        steps += page["steps"]
        token = page["next_token"]
        if token is None:
            break
    assert steps == [-s for s in range(10)]
    answer = http.get(path, headers={"accept": "application/vnd.mainspring.points"})
    mark, form, count = struct.unpack_from("<4sIQ", answer.content)
    assert (mark, form, count, len(answer.content)) == (b"MSPT", 1, 10, 16 + 240)
    columns = struct.unpack_from("<10q10q10d", answer.content, 16)
    assert list(columns[:10]) == steps
    assert columns[10:20] == tuple(range(10))
    assert math.isnan(columns[23])
    assert columns[29] == 9 / 7
    empty = http.get(
        f"/runs/{run}/metrics/none", headers={"accept": answer.headers["content-type"]}
    )
    assert empty.content == struct.pack("<4sIQ", b"MSPT", 1, 0)


def test_a_model_and_its_alias(http: httpx.Client) -> None:
    """Registered, listed; an alias moves only from where the caller thinks it is."""
    done(http.post("/models", json={"name": "churn"}), 201)
    mlflow = str(http.base_url).replace("/api/v1/", "/api/2.0/mlflow/model-versions/create")
    for number in range(2):
        fields = {"name": "churn", "source": f"s3://bucket/{number}"}
        assert http.post(mlflow, json=fields).status_code == 200
    moves = "/models/churn/aliases/champion/moves"
    assert (
        done(http.post(moves, json={"version": 1, "expected": None, "why": "first"}))["after"] == 1
    )
    assert http.post(moves, json={"version": 2, "expected": None}).status_code == 409
    done(http.post(moves, json={"version": 2, "expected": 1}))
    assert [move["after"] for move in done(http.get(moves))] == [2, 1]
    assert done(http.get("/models/churn"))["aliases"] == {"champion": 2}
    assert done(http.get("/models/churn/aliases/champion"))["version"] == 2
    assert done(http.get("/models/churn/versions/2"))["source"] == "s3://bucket/1"
    page = done(http.get("/models/churn/versions", params={"limit": 1}))
    assert len(page["items"]) == 1
    assert page["next_token"]


@pytest.mark.parametrize(
    ("method", "path", "content", "status"),
    [
        ("POST", "/runs", b'{"nme": "x"}', 400),
        ("POST", "/runs", b"{", 400),
        ("POST", "/runs", b'{"start_ms": 1e400}', 400),
        ("POST", "/runs/none/batches", b'{"points": [{"key": "m", "value": NaN}]}', 400),
        ("POST", "/runs/none/batches", b'{"points": [{"key": "m", "value": 1}]}', 404),
        ("POST", "/experiments", b'{"name": ""}', 400),
        ("GET", "/runs?limit=x", b"", 400),
        ("GET", "/runs?limit=0", b"", 400),
        ("GET", "/runs?filter=metrics.", b"", 400),
        ("GET", "/runs?odd=1", b"", 400),
        ("GET", "/runs?token=x", b"", 400),
        ("GET", "/runs/none", b"", 404),
        ("GET", "/models/none", b"", 404),
        ("GET", "/models/churn/versions/x", b"", 400),
        ("GET", "/nothing", b"", 404),
        ("PUT", "/runs", b"{}", 405),
    ],
)
def test_what_does_not_fit_is_an_error_that_says_so(
    http: httpx.Client, method: str, path: str, content: bytes, status: int
) -> None:
    """A code, a sentence, a hint; never a 5xx."""
    kind = {"content-type": "application/json"}
    answer = http.request(method, path, content=content, headers=kind)
    assert answer.status_code == status, answer.text
    assert set(answer.json()) == {"code", "message", "hint", "facts"}


def test_the_description_names_every_operation(http: httpx.Client) -> None:
    """Each path is served, each reference leads somewhere, each operation has its own name."""
    document = done(http.get("/openapi.json"))
    assert document["openapi"].startswith("3.1")
    names = [one["operationId"] for path in document["paths"].values() for one in path.values()]
    assert len(names) == len(set(names)) >= 20
    schemas = document["components"]["schemas"]
    found = set(re.findall(r"#/components/schemas/(\w+)", str(document)))
    assert found <= set(schemas)
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            url = re.sub(r"\{\w+\}", "0", path.removeprefix("/api/v1"))
            answer = http.request(method, url, content=b"[]" if method != "get" else None)
            assert answer.json().get("code") != "http.no_such_address"
            assert answer.status_code < 500
            asked = {p["name"] for p in operation["parameters"] if p["in"] == "path"}
            assert asked == set(re.findall(r"\{(\w+)\}", path))
