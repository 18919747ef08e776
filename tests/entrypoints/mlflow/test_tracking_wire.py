from __future__ import annotations

import pytest
from tests.timing import shortest
from wire import Wire

from mainspring.core.ids import new_id


def test_a_run_in_raw_json(wire: Wire) -> None:
    """The shapes that R and Java clients send and read: numbers as text, run_uuid, no empty fields."""
    made = wire.post(
        "runs/create",
        experiment_id="0",
        user_id="me",
        start_time="1234",
        tags=[{"key": "a", "value": "b"}],
    )["run"]
    run_id = made["info"]["run_id"]
    assert made["info"]["run_uuid"] == run_id
    assert made["info"]["start_time"] == 1234
    assert "end_time" not in made["info"]
    assert (made["inputs"], made["outputs"]) == ({}, {})
    assert wire.post("runs/log-metric", run_uuid=run_id, key="m", value="1.5", timestamp="7") == {}
    wire.post("runs/log-metric", run_id=run_id, key="n", value="NaN", timestamp=8, step="3")
    wire.post("runs/log-parameter", run_id=run_id, key="p", value="x")
    wire.post("runs/set-tag", run_id=run_id, key="a", value="c", unknown={"ignored": 1})
    wire.post("runs/update", run_id=run_id, status="FINISHED", end_time=2000)
    run = wire.run(run_id)
    assert run["info"]["status"] == "FINISHED"
    assert run["info"]["lifecycle_stage"] == "active"
    assert run["data"]["metrics"] == [
        {"key": "m", "value": 1.5, "timestamp": 7, "step": 0},
        {"key": "n", "value": "NaN", "timestamp": 8, "step": 3},
    ]
    assert run["data"]["params"] == [{"key": "p", "value": "x"}]
    assert {"key": "a", "value": "c"} in run["data"]["tags"]


def test_empty_answers_are_empty_objects(wire: Wire) -> None:
    """A search without hits, a history without points: ``{}``."""
    assert wire.post("runs/search", experiment_ids=["12345"]) == {}
    assert wire.get("metrics/get-history", run_id=wire.new_run(), metric_key="none") == {}


def test_duplicates_are_400_and_missing_things_404(wire: Wire) -> None:
    """Behaviour of clients hangs on these codes."""
    name = new_id()
    wire.post("experiments/create", name=name)
    assert wire.refused("experiments/create", {"name": name}) == (400, "RESOURCE_ALREADY_EXISTS")
    assert wire.refused("runs/get?run_id=" + "0" * 32, method="GET") == (
        404,
        "RESOURCE_DOES_NOT_EXIST",
    )
    assert wire.refused("experiments/get-by-name?experiment_name=none", method="GET") == (
        404,
        "RESOURCE_DOES_NOT_EXIST",
    )
    assert wire.refused("nowhere/at-all") == (404, "ENDPOINT_NOT_FOUND")
    assert wire.refused("runs/get", {}, method="POST") == (404, "ENDPOINT_NOT_FOUND")


LITERALS = (
    b"NaN",
    b"Infinity",
    b"-Infinity",
    b"1e999",
    b"nan",
    b"0x10",
    b"[1]",
    b"true",
    b'"1_0"',
    b'"x"',
    b'"1e999"',
)


@pytest.mark.parametrize("value", LITERALS)
def test_bad_numbers_store_nothing(wire: Wire, value: bytes) -> None:
    """A literal that JSON or a double does not have is refused; the reference stored 0.0 for it."""
    run_id = wire.new_run()
    body = b'{"run_id":"%s","key":"m","value":%s,"timestamp":1}' % (run_id.encode(), value)
    assert wire.refused("runs/log-metric", body) == (400, "INVALID_PARAMETER_VALUE")
    assert "metrics" not in wire.run(run_id)["data"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"{",
        b'{"run_id":5}',
        b'{"run_id":"x","metrics":5}',
        b"[" * 100_000,
        b'{"run_id":' + b"[" * 100_000,
        b'{"run_id":"\xff"}',
        b'{"run_id":"x","metrics":[{"key":"m","value":1,"timestamp":9223372036854775808}]}',
        b'{"run_id":"x","metrics":[{"key":"m","value":1,"timestamp":-1}]}',
        b'{"run_id":"x","metrics":[{"key":"m","value":1,"timestamp":1.5}]}',
        b'{"run_id":"x","metrics":[{"key":"m","value":1,"timestamp":' + b"9" * 10_000 + b"}]}",
    ],
)
def test_hostile_bodies_are_400_at_once(wire: Wire, body: bytes) -> None:
    """Deep, broken, mistyped and overflowing JSON is the caller's mistake, found quickly."""
    told, seconds = shortest(lambda: wire.refused("runs/log-batch", body), 1.0)
    assert told == (400, "INVALID_PARAMETER_VALUE")
    assert seconds < 1.0


def test_bodies_over_the_limit_are_413(wire: Wire) -> None:
    """Twenty megabytes of tag are refused before they are read."""
    body = b'{"run_id":"x","key":"t","value":"' + b"x" * 20_000_000 + b'"}'
    answer = wire.http.post(
        "/api/2.0/mlflow/runs/set-tag", content=body, headers={"content-type": "application/json"}
    )
    assert (answer.status_code, answer.json()["error_code"]) == (413, "INVALID_PARAMETER_VALUE")


def test_a_batch_is_whole_or_nothing(wire: Wire) -> None:
    """A refused parameter leaves no metric and no tag behind."""
    run_id = wire.new_run()
    wire.post("runs/log-parameter", run_id=run_id, key="p", value="1")
    body = {
        "run_id": run_id,
        "metrics": [{"key": "m", "value": 1, "timestamp": 1, "step": 1}],
        "params": [{"key": "p", "value": "2"}],
        "tags": [{"key": "t", "value": "x"}],
    }
    assert wire.refused("runs/log-batch", body) == (400, "INVALID_PARAMETER_VALUE")
    run = wire.run(run_id)
    assert "metrics" not in run["data"]
    assert all(tag["key"] != "t" for tag in run["data"]["tags"])


def test_history_and_paging(wire: Wire) -> None:
    """History is by time and step; with a limit it comes in pages, without whole."""
    run_id = wire.new_run()
    metrics = [{"key": "m", "value": i, "timestamp": 10 + i % 3, "step": i} for i in range(30)]
    wire.post("runs/log-batch", run_id=run_id, metrics=metrics)
    whole = wire.get("metrics/get-history", run_id=run_id, metric_key="m")["metrics"]
    assert [m["step"] for m in whole] == sorted(range(30), key=lambda i: (i % 3, i))
    seen, token = [], None
    while True:
        asked = {"page_token": token} if token else {}
        page = wire.get(
            "metrics/get-history", run_id=run_id, metric_key="m", max_results=7, **asked
        )
        seen += page["metrics"]
        token = page.get("next_page_token")
        if token is None:
            break
    assert seen == whole


def test_search_under_both_prefixes_and_methods(wire: Wire) -> None:
    """The pages' prefix answers like the clients', GET like POST."""
    name = new_id()
    wire.post("experiments/create", name=name)
    body = {"filter": f"name = '{name}'", "max_results": 5}
    found = wire.http.post("/ajax-api/2.0/mlflow/experiments/search", json=body).json()
    assert (
        found == wire.get("experiments/search", **body) == wire.post("experiments/search", **body)
    )
    assert [e["name"] for e in found["experiments"]] == [name]


@pytest.mark.parametrize(
    "bad",
    [
        {"filter": "metrics.m > 1 OR metrics.m < 0"},
        {"filter": " and ".join(["metrics.m > 1"] * 500)},
        {"filter": "(" * 100_000},
        {"max_results": 0},
        {"max_results": 50_001},
        {"page_token": "eyJvZmZzZXQiOiA1fQ=="},
        {"run_view_type": "SOME"},
        {"order_by": ["nothing DESC"]},
    ],
)
def test_bad_searches_are_400(wire: Wire, bad: dict[str, object]) -> None:
    """No bad search is ever a 5xx: clients would hang on it for minutes."""
    status, code = wire.refused("runs/search", {"experiment_ids": ["0"], **bad})
    assert (status, code) == (400, "INVALID_PARAMETER_VALUE")


def test_what_clients_look_at_first(wire: Wire) -> None:
    """Level, health and features."""
    assert wire.http.get("/health").text == "OK"
    assert wire.http.get("/version").text.startswith("3.")
    info = wire.http.get("/api/3.0/mlflow/server-info").json()
    assert (info["workspaces_enabled"], info["multipart_uploads_enabled"]) == (False, True)


def test_many_histories_thinned_alike(wire: Wire) -> None:
    """Runs are sampled at the same steps, each with its own first and last."""
    runs = [wire.new_run(), wire.new_run()]
    for run_id, count in zip(runs, (100, 51), strict=True):
        metrics = [{"key": "m", "value": i, "timestamp": i, "step": i} for i in range(count)]
        wire.post("runs/log-batch", run_id=run_id, metrics=metrics)
    asked = {"run_ids": runs, "metric_key": "m", "max_results": 10}
    found = wire.get("metrics/get-history-bulk-interval", **asked)["metrics"]
    steps = {run: [m["step"] for m in found if m["run_id"] == run] for run in runs}
    assert steps[runs[0]] == [0, 11, 22, 33, 44, 55, 66, 77, 88, 99]
    assert steps[runs[1]] == [0, 11, 22, 33, 44, 50]
    part = wire.get("metrics/get-history-bulk-interval", **asked, start_step=5, end_step=7)[
        "metrics"
    ]
    assert [m["step"] for m in part] == [5, 6, 7] * 2
    whole = wire.get("metrics/get-history-bulk", run_id=runs, metric_key="m")["metrics"]
    assert len(whole) == 151
    for bad in ("max_results=0", "start_step=1", "start_step=3&end_step=1", "max_results=2501"):
        path = f"metrics/get-history-bulk-interval?run_ids={runs[0]}&metric_key=m&{bad}"
        assert wire.refused(path, method="GET")[0] == 400


def test_datasets_to_choose_from(wire: Wire) -> None:
    """The datasets that an experiment's runs named, with their contexts."""
    made = wire.post("experiments/create", name=new_id())["experiment_id"]
    for context in ("train", "test"):
        dataset = {"name": "d", "digest": "x", "source_type": "s", "source": "y"}
        tags = [{"key": "mlflow.data.context", "value": context}]
        inputs = [{"dataset": dataset, "tags": tags}]
        wire.post("runs/log-inputs", run_id=wire.new_run(experiment_id=made), datasets=inputs)
    found = wire.post("experiments/search-datasets", experiment_ids=[made])["dataset_summaries"]
    same = {"experiment_id": made, "name": "d", "digest": "x"}
    assert found == [{**same, "context": "test"}, {**same, "context": "train"}]
    assert wire.refused("experiments/search-datasets", {})[0] == 400


def test_what_is_gone_or_back_already_is_no_error(wire: Wire) -> None:
    """A client that lost the answer to a deletion or restoration asks again, and is told it is so."""
    run_id = wire.new_run()
    for path, state in (("runs/delete", "deleted"), ("runs/restore", "active")):
        for _ in range(2):
            wire.post(path, run_id=run_id)
        assert wire.run(run_id)["info"]["lifecycle_stage"] == state
    model = wire.post("logged-models", experiment_id="0")["model"]["info"]["model_id"]
    for _ in range(2):
        wire.call("DELETE", f"logged-models/{model}")
    for path, fields in (
        ("runs/delete", {"run_id": "nope"}),
        ("runs/restore", {"run_id": "nope"}),
    ):
        assert wire.refused(path, fields) == (404, "RESOURCE_DOES_NOT_EXIST")
    assert wire.refused("logged-models/m-nope", {}, "DELETE") == (404, "RESOURCE_DOES_NOT_EXIST")


def test_what_is_no_experiment_number_or_name_is_told(wire: Wire) -> None:
    """A name where a number belongs is refused, never an empty result; so is a new name of nothing."""
    bad = (400, "INVALID_PARAMETER_VALUE")
    assert wire.refused("experiments/get?experiment_id=abc", method="GET") == bad
    assert wire.refused("experiments/restore", {"experiment_id": "abc"}) == bad
    assert wire.refused("runs/search", {"experiment_ids": ["abc"]}) == bad
    assert wire.refused("runs/create", {"experiment_id": "abc"}) == bad
    for name in ({}, {"new_name": ""}):
        assert wire.refused("experiments/update", {"experiment_id": "0", **name}) == bad
    missing = (404, "RESOURCE_DOES_NOT_EXIST")
    assert wire.refused("experiments/get?experiment_id=99999999", method="GET") == missing


def test_a_page_of_no_points_is_refused(wire: Wire) -> None:
    """A limit below one is an error, as with the reference, not a page of one."""
    run_id = wire.new_run()
    for limit in (0, -1):
        path = f"metrics/get-history?run_id={run_id}&metric_key=m&max_results={limit}"
        assert wire.refused(path, method="GET") == (400, "INVALID_PARAMETER_VALUE")


def test_a_chart_of_points_that_share_a_step_is_thinned_too(wire: Wire) -> None:
    """A loop that never counts logs all its points at step 0: a chart is no larger for that."""
    run_id = wire.new_run()
    points = [{"key": "m", "value": n, "timestamp": n, "step": 0} for n in range(1000)]
    wire.post("runs/log-batch", run_id=run_id, metrics=points)
    asked = {"run_ids": run_id, "metric_key": "m", "max_results": 100}
    found = wire.get("metrics/get-history-bulk-interval", **asked)["metrics"]
    values = [point["value"] for point in found]
    assert len(values) == 100
    assert (values[0], values[-1]) == (0.0, 999.0)


def test_a_model_has_each_parameter_once(wire: Wire) -> None:
    """Two values for one parameter are refused as a whole, not one of them kept."""
    twice = [{"key": "p", "value": "1"}, {"key": "p", "value": "2"}]
    bad = (400, "INVALID_PARAMETER_VALUE")
    assert wire.refused("logged-models", {"experiment_id": "0", "params": twice}) == bad
    made = wire.post("logged-models", experiment_id="0", params=[twice[0], twice[0]])["model"]
    path = f"logged-models/{made['info']['model_id']}"
    assert wire.refused(f"{path}/params", {"params": [{"key": "q", "value": "1"}, *twice]}) == bad
    assert wire.get(path)["model"]["data"]["params"] == [twice[0]]


def test_a_model_is_found_by_its_value_on_any_dataset(wire: Wire) -> None:
    """A filter that names no dataset holds when one of them meets it; one that does means that one."""
    experiment = wire.post("experiments/create", name=new_id())["experiment_id"]
    model = wire.post("logged-models", experiment_id=experiment)["model"]["info"]["model_id"]
    run_id = wire.new_run(experiment_id=experiment)
    base = {"key": "acc", "timestamp": 1, "step": 0, "model_id": model}
    metrics = [
        {**base, "value": value, "dataset_name": name, "dataset_digest": "d"}
        for name, value in (("train", 0.9), ("test", 0.5))
    ]
    wire.post("runs/log-batch", run_id=run_id, metrics=metrics)

    def found(text: str, **more: object) -> int:
        fields = {"experiment_ids": [experiment], "filter": text, **more}
        return len(wire.post("logged-models/search", **fields).get("models", []))

    assert found("metrics.acc > 0.8") == found("metrics.acc < 0.6") == 1
    assert found("metrics.acc > 0.95") == 0
    train = [{"dataset_name": "train"}]
    assert found("metrics.acc > 0.8", datasets=train) == 1
    assert found("metrics.acc < 0.6", datasets=train) == 0
