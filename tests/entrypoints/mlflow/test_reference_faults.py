"""What the reference server does badly, done right: each fault measured there has its test here.

Half-applied batches, bad numbers, bad filters, names with ``%20`` and empty files have theirs in
test_tracking_wire.py, test_attacks.py and test_artifacts_wire.py.
"""

from __future__ import annotations

from wire import Wire

from mainspring.core.ids import new_id


def test_ready_models_are_found_by_their_status(wire: Wire) -> None:
    """``status = 'READY'`` finds what is ready; an unknown attribute is a 400."""
    experiment = wire.post("experiments/create", name=new_id())["experiment_id"]
    made = [
        wire.post("logged-models", experiment_id=experiment, name=f"m{n}")["model"]["info"][
            "model_id"
        ]
        for n in range(2)
    ]
    wire.call("PATCH", f"logged-models/{made[0]}", status="LOGGED_MODEL_READY")
    wire.call("PATCH", f"logged-models/{made[1]}", status=3)
    for status, model_id in (("READY", made[0]), ("UPLOAD_FAILED", made[1])):
        asked = {"experiment_ids": [experiment], "filter": f"status = '{status}'"}
        [found] = wire.post("logged-models/search", **asked)["models"]
        assert found["info"]["model_id"] == model_id
    asked = {"experiment_ids": [experiment], "filter": "nothing = 'x'"}
    assert wire.refused("logged-models/search", asked) == (400, "INVALID_PARAMETER_VALUE")


def test_a_version_keeps_the_model_it_was_made_from(wire: Wire) -> None:
    """The ``model_id`` sent at registration comes back."""
    name = new_id()
    wire.post("registered-models/create", name=name)
    model = wire.post("logged-models", experiment_id="0", name="m")["model"]["info"]["model_id"]
    fields = {"name": name, "source": f"models:/{model}", "model_id": model}
    assert wire.post("model-versions/create", **fields)["model_version"]["model_id"] == model
    assert (
        wire.get("model-versions/get", name=name, version="1")["model_version"]["model_id"] == model
    )


def test_rows_do_not_move_while_paging(wire: Wire) -> None:
    """Runs that come or go between two pages neither repeat nor hide another."""
    experiment = wire.post("experiments/create", name=new_id())["experiment_id"]
    runs = [wire.new_run(experiment_id=experiment, start_time=n) for n in range(6)]
    asked = {"experiment_ids": [experiment], "max_results": 3}
    first = wire.post("runs/search", **asked)
    wire.new_run(experiment_id=experiment, start_time=100)
    wire.post("runs/delete", run_id=runs[5])
    second = wire.post("runs/search", **asked, page_token=first["next_page_token"])
    seen = [run["info"]["run_id"] for page in (first, second) for run in page["runs"]]
    assert seen == runs[::-1]


def test_the_same_batch_again_changes_nothing(wire: Wire) -> None:
    """A retried batch is answered like the first, and every point is there once."""
    run_id = wire.new_run()
    body = {
        "run_id": run_id,
        "metrics": [{"key": "m", "value": n, "timestamp": n, "step": n} for n in range(500)],
        "params": [{"key": "p", "value": "1"}],
    }
    assert wire.post("runs/log-batch", **body) == wire.post("runs/log-batch", **body) == {}
    found = wire.get("metrics/get-history", run_id=run_id, metric_key="m")["metrics"]
    assert [one["step"] for one in found] == list(range(500))


def test_unknown_addresses_say_so_in_the_clients_words(wire: Wire) -> None:
    """Clients fall back to an older route only on this code."""
    for path in ("/api/3.0/mlflow/nothing", "/ajax-api/2.0/mlflow/traces/x/y/z", "/v1/traces/x"):
        answer = wire.http.post(path, json={})
        assert (answer.status_code, answer.json()["error_code"]) == (404, "ENDPOINT_NOT_FOUND")
