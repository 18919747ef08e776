# ruff: noqa: T201, PT017, PT018, BLE001
"""A broad walk of the real MLflow client; prints one line per step: python walk.py URI."""

from __future__ import annotations

import math
import os
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag, ViewType
from mlflow.exceptions import MlflowException

mlflow.set_tracking_uri(sys.argv[1])
client = MlflowClient()


def refused(code: str, call, *arguments, **options) -> None:
    try:
        call(*arguments, **options)
    except MlflowException as error:
        assert error.error_code == code, (error.error_code, str(error))
        return
    raise AssertionError(f"{call} was not refused")


def experiments() -> None:
    made = client.create_experiment("first", tags={"a": "1"})
    refused("RESOURCE_ALREADY_EXISTS", client.create_experiment, "first")
    found = client.get_experiment(made)
    assert (found.name, found.tags, found.lifecycle_stage) == ("first", {"a": "1"}, "active")
    assert client.get_experiment_by_name("nothing") is None
    client.set_experiment_tag(made, "b", "2")
    client.rename_experiment(made, "second")
    assert client.get_experiment_by_name("second").tags == {"a": "1", "b": "2"}
    names = [e.name for e in client.search_experiments(filter_string="tags.b = '2'")]
    assert names == ["second"], names
    client.create_run(made)
    client.delete_experiment(made)
    refused("RESOURCE_DOES_NOT_EXIST", client.delete_experiment, made)
    refused("INVALID_PARAMETER_VALUE", client.create_run, made)
    refused("RESOURCE_ALREADY_EXISTS", client.create_experiment, "second")
    assert len(client.search_runs([made], run_view_type=ViewType.DELETED_ONLY)) == 1
    assert len(client.search_runs([made])) == 0
    client.restore_experiment(made)
    assert len(client.search_runs([made])) == 1
    assert mlflow.set_experiment("third").name == "third"
    pages = client.search_experiments(max_results=2, order_by=["name ASC"])
    assert [e.name for e in pages] == ["Default", "second"] and pages.token
    rest = client.search_experiments(max_results=2, order_by=["name ASC"], page_token=pages.token)
    assert [e.name for e in rest] == ["third"] and not rest.token


def runs() -> None:
    with mlflow.start_run(run_name="parent", tags={"who": "me"}) as run:
        mlflow.log_param("rate", 0.1)
        mlflow.log_param("rate", 0.1)
        refused("INVALID_PARAMETER_VALUE", mlflow.log_param, "rate", 0.2)
        mlflow.log_params({f"p{i}": i for i in range(30)})
        mlflow.log_metric("loss", 1.0, step=0)
        mlflow.log_metric("loss", math.nan, step=1)
        mlflow.log_metric("big", math.inf)
        mlflow.log_metrics({"acc": 0.5, "auc": 0.7}, step=3)
        mlflow.set_tag("note", "hello")
        with mlflow.start_run(run_name="child", nested=True):
            mlflow.log_metric("loss", 0.5)
    found = client.get_run(run.info.run_id)
    assert found.info.status == "FINISHED" and found.info.run_name == "parent"
    assert found.data.params["rate"] == "0.1" and len(found.data.params) == 31
    assert math.isnan(found.data.metrics["loss"]) and found.data.metrics["big"] > 1e308
    assert found.data.tags["mlflow.runName"] == "parent" and found.data.tags["note"] == "hello"
    history = client.get_metric_history(run.info.run_id, "loss")
    assert [p.step for p in history] == [0, 1] and math.isnan(history[1].value)
    client.update_run(run.info.run_id, name="renamed")
    assert client.get_run(run.info.run_id).data.tags["mlflow.runName"] == "renamed"
    client.set_tag(run.info.run_id, "mlflow.runName", "again")
    assert client.get_run(run.info.run_id).info.run_name == "again"
    client.delete_tag(run.info.run_id, "note")
    refused("RESOURCE_DOES_NOT_EXIST", client.delete_tag, run.info.run_id, "note")
    refused("RESOURCE_DOES_NOT_EXIST", client.get_run, "0" * 32)
    client.delete_run(run.info.run_id)
    refused("INVALID_PARAMETER_VALUE", client.log_metric, run.info.run_id, "x", 1.0)
    client.restore_run(run.info.run_id)
    now = int(time.time() * 1000)
    client.log_batch(
        run.info.run_id,
        metrics=[Metric(f"m{i % 10}", i, now, i) for i in range(2500)],
        params=[Param(f"q{i}", str(i)) for i in range(250)],
        tags=[RunTag(f"t{i}", str(i)) for i in range(150)],
    )
    found = client.get_run(run.info.run_id)
    assert found.data.metrics["m9"] == 2499 and found.data.params["q249"] == "249"
    assert len(client.get_metric_history(run.info.run_id, "m0")) == 250
    frame = mlflow.search_runs(search_all_experiments=True, filter_string="params.rate = '0.1'")
    assert len(frame) == 1 and frame.iloc[0]["metrics.acc"] == 0.5
    ended = client.create_run("0", run_name="killed")
    client.set_terminated(ended.info.run_id, "KILLED")
    assert client.get_run(ended.info.run_id).info.status == "KILLED"


def searches() -> None:
    experiment = client.create_experiment("searches")
    made = []
    for i in range(12):
        run = client.create_run(experiment, start_time=1000 + i, run_name=f"r{i}")
        made.append(run.info.run_id)
        if i < 10:
            client.log_metric(run.info.run_id, "m", math.nan if i == 9 else float(i))
        client.log_param(run.info.run_id, "kind", "even" if i % 2 == 0 else "Odd")
        client.set_tag(run.info.run_id, "a b", f"x{i}")

    def names(filter_string: str = "", order_by=None, **options) -> list[int]:
        found = client.search_runs([experiment], filter_string, order_by=order_by, **options)
        return [int(run.info.run_name[1:]) for run in found]

    assert names() == list(range(11, -1, -1))
    assert names("metrics.m >= 7") == [8, 7]
    assert names("metrics.m != 3") == [9, 8, 7, 6, 5, 4, 2, 1, 0]
    assert names("params.kind LIKE 'e%' and metrics.m < 4") == [2, 0]
    assert names("params.kind LIKE 'o%'") == []
    assert names("params.kind ILIKE 'o%' and metric.m > 4.5") == [7, 5]
    assert names("tags.`a b` = 'x3'") == [3] and names('tags."a b" = "x4"') == [4]
    assert names("tags.nothing IS NULL and run_name = 'r5'") == [5]
    assert names("attributes.run_name LIKE 'r1%'") == [11, 10, 1]
    assert names(f"run_id IN ('{made[1]}', '{made[2]}')") == [2, 1]
    assert names(f"attributes.run_id NOT IN ('{made[1]}') and metrics.m < 3") == [9, 2, 0]
    assert names("start_time > 1009") == [11, 10]
    assert names("status = 'RUNNING' and attributes.start_time <= 1001") == [1, 0]
    assert names(order_by=["metrics.m DESC"]) == [8, 7, 6, 5, 4, 3, 2, 1, 0, 9, 11, 10]
    assert names(order_by=["metrics.m ASC"]) == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 10]
    assert names(order_by=["params.kind ASC", "metrics.m DESC"])[:3] == [7, 5, 3]
    assert names(order_by=["start_time ASC"], max_results=3) == [0, 1, 2]
    seen, token = [], None
    while True:
        page = client.search_runs(
            [experiment], "", max_results=5, order_by=["metrics.m"], page_token=token
        )
        seen += [int(run.info.run_name[1:]) for run in page]
        token = page.token
        if not token:
            break
    assert seen == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 10], seen
    for bad in (
        "metrics.m > 'x'",
        "params.kind = 3",
        "nothing.x = '1'",
        "attributes.nothing = '1'",
        "metrics.m > 1 OR metrics.m < 0",
        "(metrics.m > 1)",
        "metrics.m",
        "metrics.m >",
        "params.kind LIKE",
    ):
        refused("INVALID_PARAMETER_VALUE", client.search_runs, [experiment], bad)
    refused("INVALID_PARAMETER_VALUE", client.search_runs, [experiment], "", page_token="junk")


def artifacts() -> None:
    with mlflow.start_run() as run, tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        (place / "100% of it.txt").write_text("kept")
        (place / "empty.bin").write_bytes(b"")
        (place / "sub").mkdir()
        (place / "sub" / "größe & co.txt").write_text("ü")
        mlflow.log_artifacts(folder, "data")
        mlflow.log_dict({"a": 1}, "conf/a.json")
        mlflow.log_text("hello", "notes.txt")
        found = {f.path: f for f in client.list_artifacts(run.info.run_id)}
        assert set(found) == {"conf", "data", "notes.txt"} and found["conf"].is_dir
        inside = {f.path: f for f in client.list_artifacts(run.info.run_id, "data")}
        assert set(inside) == {"data/100% of it.txt", "data/empty.bin", "data/sub"}, set(inside)
        assert inside["data/empty.bin"].file_size == 0
        target = client.download_artifacts(run.info.run_id, "data")
        assert (Path(target) / "100% of it.txt").read_text() == "kept"
        assert (Path(target) / "sub" / "größe & co.txt").read_text() == "ü"
        assert mlflow.artifacts.load_dict(f"{run.info.artifact_uri}/conf/a.json") == {"a": 1}
        big = place / "big.bin"
        big.write_bytes(os.urandom(5_000_000))
        mlflow.log_artifact(str(big))
        copy = client.download_artifacts(run.info.run_id, "big.bin")
        assert Path(copy).read_bytes() == big.read_bytes()


def inputs() -> None:
    from mlflow.data.http_dataset_source import HTTPDatasetSource
    from mlflow.data.meta_dataset import MetaDataset

    dataset = MetaDataset(HTTPDatasetSource("https://example.org/x.csv"), name="flights")
    with mlflow.start_run() as run:
        mlflow.log_input(dataset, context="training")
    found = client.get_run(run.info.run_id).inputs.dataset_inputs
    assert found[0].dataset.name == "flights" and found[0].tags[0].value == "training"
    hits = mlflow.search_runs(search_all_experiments=True, filter_string="dataset.name = 'flights'")
    assert len(hits) == 1
    hits = mlflow.search_runs(
        search_all_experiments=True, filter_string="dataset.context = 'training'"
    )
    assert len(hits) == 1


def registry() -> None:
    class Twice(mlflow.pyfunc.PythonModel):
        def predict(self, context, model_input, params=None):
            return [2 * x for x in model_input]

    with mlflow.start_run() as run:
        info = mlflow.pyfunc.log_model(
            name="model", python_model=Twice(), registered_model_name="twice", pip_requirements=[]
        )
        mlflow.log_metric("score", 0.9, model_id=info.model_id)
    logged = mlflow.get_logged_model(info.model_id)
    assert str(logged.status) in ("LoggedModelStatus.READY", "READY"), logged.status
    assert logged.metrics[0].value == 0.9
    found = mlflow.search_logged_models(
        experiment_ids=[run.info.experiment_id],
        filter_string="status = 'READY' and metrics.score > 0.5",
        output_format="list",
    )
    assert [m.model_id for m in found] == [info.model_id]
    refused(
        "INVALID_PARAMETER_VALUE",
        mlflow.search_logged_models,
        experiment_ids=[run.info.experiment_id],
        filter_string="nothing = 'x'",
    )
    version = client.get_model_version("twice", "1")
    assert (version.status, version.run_id) == ("READY", run.info.run_id), version
    client.set_registered_model_alias("twice", "champion", 1)
    assert client.get_model_version_by_alias("twice", "champion").version == "1"
    assert list(client.get_registered_model("twice").aliases) == ["champion"]
    for uri in (
        "models:/twice/1",
        "models:/twice@champion",
        info.model_uri,
        "models:/twice/latest",
    ):
        assert list(mlflow.pyfunc.load_model(uri).predict([1, 2])) == [2, 4], uri
    mlflow.register_model(info.model_uri, "twice", tags={"k": "v"})
    versions = client.search_model_versions("name = 'twice'")
    assert [v.version for v in versions] == ["2", "1"]
    assert client.search_model_versions("tags.k = 'v'")[0].version == "2"
    client.transition_model_version_stage("twice", "1", "production")
    assert client.get_latest_versions("twice", ["Production"])[0].version == "1"
    client.transition_model_version_stage("twice", "2", "Production", True)
    assert client.get_model_version("twice", "1").current_stage == "Archived"
    client.update_model_version("twice", "2", "better")
    client.set_model_version_tag("twice", "2", "x", "y")
    client.delete_model_version_tag("twice", "2", "x")
    client.set_registered_model_tag("twice", "team", "a")
    client.delete_registered_model_tag("twice", "team")
    client.update_registered_model("twice", "doubles")
    assert client.get_registered_model("twice").description == "doubles"
    client.rename_registered_model("twice", "double")
    assert [m.name for m in client.search_registered_models("name LIKE 'dou%'")] == ["double"]
    refused("RESOURCE_DOES_NOT_EXIST", client.get_registered_model, "twice")
    refused("RESOURCE_ALREADY_EXISTS", client.create_registered_model, "double")
    client.delete_registered_model_alias("double", "champion")
    refused("INVALID_PARAMETER_VALUE", client.get_model_version_by_alias, "double", "champion")
    client.delete_model_version("double", "1")
    refused("RESOURCE_DOES_NOT_EXIST", client.get_model_version, "double", "1")
    client.delete_registered_model("double")
    refused("RESOURCE_DOES_NOT_EXIST", client.get_registered_model, "double")
    mlflow.delete_logged_model(info.model_id) if hasattr(mlflow, "delete_logged_model") else None


def prompts() -> None:
    mlflow.genai.register_prompt("greet", "Hello {{name}}", commit_message="first")
    mlflow.genai.register_prompt("greet", "Hi {{name}}")
    mlflow.genai.set_prompt_alias("greet", "live", 1)
    assert mlflow.genai.load_prompt("prompts:/greet@live").template == "Hello {{name}}"
    assert mlflow.genai.load_prompt("prompts:/greet/2").template == "Hi {{name}}"
    assert [p.name for p in mlflow.genai.search_prompts()] == ["greet"]
    assert "greet" not in [m.name for m in client.search_registered_models()]


if __name__ == "__main__":
    steps = [experiments, runs, searches, artifacts, inputs, registry, prompts]
    wanted = sys.argv[2:]
    failed = 0
    for step in steps:
        if wanted and step.__name__ not in wanted:
            continue
        try:
            step()
            print("ok", step.__name__, flush=True)
        except Exception as error:
            import traceback

            failed += 1
            print("FAILED", step.__name__, type(error).__name__, str(error)[:500], flush=True)
            traceback.print_exc()
    sys.exit(failed)
