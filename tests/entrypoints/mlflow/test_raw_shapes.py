from __future__ import annotations

from typing import Any

import pytest
from wire import Wire

from mainspring.core.ids import new_id

V2 = "/api/2.0/mlflow"


def raw(wire: Wire, method: str, path: str, body: bytes | None = None, **headers: str) -> Any:
    """A call with a body as it is, and its answer."""
    kind = {"content-type": "application/json", **headers}
    answer = wire.http.request(method, f"{V2}/{path}", content=body, headers=kind)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_the_java_client_writes_64_bits_as_text(wire: Wire) -> None:
    """Its JSON printer quotes every int64, and names enums; answers hold plain numbers."""
    run = raw(
        wire,
        "POST",
        "runs/create",
        b'{"experiment_id":"0","user_id":"java","start_time":"1700000000123"}',
    )["run"]
    run_id = run["info"]["run_id"].encode()
    raw(
        wire,
        "POST",
        "runs/log-batch",
        b'{"run_id":"%s","metrics":[{"key":"m","value":0.5,"timestamp":"1700000000124","step":"9"},'
        b'{"key":"n","value":"-Infinity","timestamp":"5","step":"-9223372036854775808"}],'
        b'"params":[{"key":"p","value":"1"}],"tags":[]}' % run_id,
        **{"content-type": "application/json; charset=utf-8"},
    )
    body = b'{"run_id":"%s","status":"FINISHED","end_time":"1700000000999"}' % run_id
    info = raw(wire, "POST", "runs/update", body)["run_info"]
    assert (info["status"], info["end_time"]) == ("FINISHED", 1700000000999)
    metrics = {m["key"]: m for m in wire.run(run_id.decode())["data"]["metrics"]}
    assert (metrics["m"]["timestamp"], metrics["m"]["step"]) == (1700000000124, 9)
    assert (metrics["n"]["value"], metrics["n"]["step"]) == (-1.7976931348623157e308, -(2**63))


@pytest.mark.parametrize(
    ("status", "name"),
    [("1", "RUNNING"), (3, "FINISHED"), ("FAILED", "FAILED"), (5, "KILLED")],
)
def test_enums_by_name_and_by_number(wire: Wire, status: str | int, name: str) -> None:
    """The JSON form of protocol buffers takes both."""
    run_id = wire.new_run()
    wire.post("runs/update", run_id=run_id, status=status)
    assert wire.run(run_id)["info"]["status"] == name


def test_views_by_name_and_by_number(wire: Wire) -> None:
    """ACTIVE_ONLY is 1, DELETED_ONLY 2, ALL 3, in bodies and in queries, quoted or not."""
    made = wire.post("experiments/create", name=new_id())["experiment_id"]
    wire.post("experiments/delete", experiment_id=made)
    for view, there in (("ALL", True), (3, True), ("2", True), ("ACTIVE_ONLY", False), (1, False)):
        asked = {"view_type": view, "max_results": "50000"}
        for found in (
            wire.post("experiments/search", **asked),
            wire.get("experiments/search", **asked),
        ):
            assert (made in [one["experiment_id"] for one in found["experiments"]]) is there
    runs = {"experiment_ids": [made], "run_view_type": 2}
    assert wire.post("runs/search", **runs) == {}
    assert wire.refused("runs/search", {"experiment_ids": ["0"], "run_view_type": 9})[0] == 400


def test_an_empty_body_is_an_empty_object(wire: Wire) -> None:
    """A search of everything needs no body, nor a content type."""
    for body in (b"", b"{}", None):
        assert "experiments" in raw(wire, "POST", "experiments/search", body)
    answer = wire.http.post(f"{V2}/experiments/search")
    assert answer.status_code == 200
    assert wire.http.post(f"{V2}/runs/search").json() == {}


def test_lists_in_a_query_are_repeated_fields(wire: Wire) -> None:
    """The R client asks so: each value once more under the same name."""
    name = new_id()
    wire.post("registered-models/create", name=name)
    wire.post("model-versions/create", name=name, source="runs:/x/m")
    query = f"name={name}&stages=None&stages=Production"
    found = raw(wire, "GET", f"registered-models/get-latest-versions?{query}")
    assert [one["version"] for one in found["model_versions"]] == ["1"]
    runs = [wire.new_run() for _ in range(2)]
    for run_id in runs:
        wire.post("runs/log-metric", run_id=run_id, key="m", value=1, timestamp=1)
    query = "&".join(f"run_ids={run_id}" for run_id in runs)
    found = raw(wire, "GET", f"metrics/get-history-bulk-interval?{query}&metric_key=m")
    assert [one["run_id"] for one in found["metrics"]] == runs
    query = "order_by=name+DESC&order_by=creation_time&max_results=3&unknown=x"
    assert raw(wire, "GET", f"experiments/search?{query}")["experiments"]


def test_nulls_and_unknown_fields_are_absent(wire: Wire) -> None:
    """What older and newer clients send beside what is known does no harm."""
    body = b'{"experiment_id":"0","run_name":null,"tags":null,"start_time":1,"new":{"a":[1]}}'
    run = raw(wire, "POST", "runs/create", body)["run"]
    assert run["info"]["run_name"]
    assert "end_time" not in run["info"]


def test_identifiers_of_experiments_as_numbers(wire: Wire) -> None:
    """A client that keeps them as integers is understood."""
    made = wire.post("experiments/create", name=new_id())["experiment_id"]
    run = wire.post("runs/create", experiment_id=int(made), start_time=1)["run"]
    assert run["info"]["experiment_id"] == made
    assert (
        wire.get("experiments/get", experiment_id=int(made))["experiment"]["experiment_id"] == made
    )
