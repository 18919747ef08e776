# ruff: noqa: T201, PT017, PT018
"""Histories of many runs, datasets to choose from, prompts: python further.py URI [STEP ...].

The Python client has no method of its own for what only charts ask. Its store speaks those calls
all the same: its messages, its table of addresses, its reader of answers.
"""

from __future__ import annotations

import json
import os
import sys
import time

os.environ |= {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0", "MLFLOW_DISABLE_TELEMETRY": "true"}

import mlflow
import mlflow.genai
from mlflow.data.http_dataset_source import HTTPDatasetSource
from mlflow.data.meta_dataset import MetaDataset
from mlflow.entities import Metric
from mlflow.exceptions import MlflowException
from mlflow.protos import service_pb2 as messages
from mlflow.utils.proto_json_utils import message_to_json

mlflow.set_tracking_uri(sys.argv[1])
client = mlflow.MlflowClient()
store = client._tracking_client.store
OLD = not hasattr(mlflow.genai, "set_prompt_model_config")


def called(message, endpoint: str | None = None):
    """The answer that the client's own store reads."""
    return store._call_endpoint(type(message), message_to_json(message), endpoint=endpoint)


def refused(code: str, call, *arguments, **options) -> None:
    try:
        call(*arguments, **options)
    except MlflowException as error:
        assert error.error_code == code, (error.error_code, str(error))
    else:
        raise AssertionError(f"{call} was not refused")


def histories() -> None:
    """Many runs at once: thinned to so many steps, the ends kept, only of the span asked for."""
    experiment = client.create_experiment("histories")
    now = int(time.time() * 1000)
    runs = []
    for number in range(3):
        run = client.create_run(experiment).info.run_id
        runs.append(run)
        points = [Metric("loss", 1 / (1 + s) + number, now + s, s) for s in range(3000)]
        for start in range(0, 3000, 1000):
            client.log_batch(run, metrics=points[start : start + 1000])
    # A page at a time, as the client reads one history, and all of it together.
    assert [p.step for p in client.get_metric_history(runs[0], "loss")] == list(range(3000))
    page = store.get_metric_history(runs[0], "loss", max_results=1000)
    assert len(page) == 1000 and page.token
    rest = store.get_metric_history(runs[0], "loss", max_results=2500, page_token=page.token)
    assert [p.step for p in rest] == list(range(1000, 3000)) and not rest.token

    asked = messages.GetMetricHistoryBulkInterval(run_ids=runs, metric_key="loss", max_results=100)
    found = called(asked).metrics
    assert {point.run_id for point in found} == set(runs)
    for number, run in enumerate(runs):
        mine = [point for point in found if point.run_id == run]
        assert 100 <= len(mine) <= 103, len(mine)
        assert (mine[0].step, mine[-1].step) == (0, 2999)
        assert [p.step for p in mine] == sorted(p.step for p in mine)
        assert all(p.value == 1 / (1 + p.step) + number and p.key == "loss" for p in mine)
    asked.start_step, asked.end_step = 500, 520
    found = [p for p in called(asked).metrics if p.run_id == runs[1]]
    assert [p.step for p in found] == list(range(500, 521)), found
    asked.ClearField("end_step")
    refused("INVALID_PARAMETER_VALUE", called, asked)
    refused(
        "INVALID_PARAMETER_VALUE",
        called,
        messages.GetMetricHistoryBulkInterval(run_ids=runs, metric_key="loss", max_results=2501),
    )
    refused(
        "INVALID_PARAMETER_VALUE",
        called,
        messages.GetMetricHistoryBulkInterval(run_ids=runs * 34, metric_key="loss"),
    )


def datasets() -> None:
    """Every dataset that runs of these experiments read, once for each context."""
    experiment = client.create_experiment("datasets")
    other = client.create_experiment("no datasets")
    source = HTTPDatasetSource("https://example.org/x.csv")
    for name, context in (("flights", "training"), ("flights", "test"), ("weather", "training")):
        for _ in range(2):
            with mlflow.start_run(experiment_id=experiment):
                mlflow.log_input(MetaDataset(source, name=name), context=context)
    # The client's own table lacks a slash here; this is where the pages of the reference ask.
    address = "/ajax-api/2.0/mlflow/experiments/search-datasets"
    asked = messages.SearchDatasets(experiment_ids=[experiment, other])
    found = called(asked, address).dataset_summaries
    assert sorted((one.name, one.context) for one in found) == [
        ("flights", "test"),
        ("flights", "training"),
        ("weather", "training"),
    ], found
    assert {one.experiment_id for one in found} == {experiment}
    assert all(one.digest for one in found)
    asked = messages.SearchDatasets(experiment_ids=[other])
    assert not called(asked, address).dataset_summaries


def prompts() -> None:
    """Made, changed, found, pointed at, tied to runs, and removed."""
    genai = mlflow.genai
    first = genai.register_prompt(
        "ask-it",
        'Tell {{who}} about {{what}}, größer than 100% of "it".',
        commit_message="first",
        tags={"author": "ada"},
    )
    assert (first.name, first.version) == ("ask-it", 1)
    second = genai.register_prompt(
        "ask-it",
        [{"role": "system", "content": "Be {{tone}}."}, {"role": "user", "content": "{{what}}"}],
        response_format={"type": "object", "properties": {"answer": {"type": "string"}}},
    )
    assert second.version == 2
    again = genai.load_prompt("ask-it", version=1)
    assert again.template == first.template and again.commit_message == "first"
    assert again.format(who="Bo", what="rain").startswith("Tell Bo about rain")
    assert again.tags["author"] == "ada" and again.variables == {"who", "what"}
    chat = genai.load_prompt("prompts:/ask-it/2")
    assert chat.template[0]["role"] == "system" and chat.response_format["type"] == "object"

    genai.set_prompt_alias("ask-it", alias="live", version=1)
    assert genai.load_prompt("prompts:/ask-it@live").version == 1
    genai.set_prompt_alias("ask-it", alias="live", version=2)
    assert client.get_prompt_version_by_alias("ask-it", "live").version == 2
    genai.delete_prompt_alias("ask-it", alias="live")
    refused("INVALID_PARAMETER_VALUE", client.get_prompt_version_by_alias, "ask-it", "live")

    client.set_prompt_tag("ask-it", "team", "search")
    assert client.get_prompt("ask-it").tags["team"] == "search"
    client.delete_prompt_tag("ask-it", "team")
    assert "team" not in client.get_prompt("ask-it").tags

    client.create_prompt("empty-one", description="none yet", tags={"kind": "draft"})
    made = client.create_prompt_version("empty-one", "Say {{it}}", description="v1")
    assert made.version == 1
    client.create_registered_model("a-model")
    assert {p.name for p in genai.search_prompts()} >= {"ask-it", "empty-one"}
    assert [p.name for p in client.search_prompts("name LIKE 'ask%'")] == ["ask-it"]
    assert [p.name for p in client.search_prompts("tags.kind = 'draft'")] == ["empty-one"]
    page = client.search_prompts(max_results=1)
    assert len(page) == 1 and page.token
    assert len(client.search_prompts(max_results=1, page_token=page.token)) == 1
    assert "ask-it" not in [model.name for model in client.search_registered_models()]
    refused("RESOURCE_ALREADY_EXISTS", client.create_prompt, "ask-it")
    assert client.get_prompt("no-such-prompt") is None
    refused("RESOURCE_DOES_NOT_EXIST", client.get_prompt_version, "ask-it", "9")
    tied_to_runs()
    newer_prompts()
    client.delete_prompt_version("ask-it", "1")
    refused("RESOURCE_DOES_NOT_EXIST", client.get_prompt_version, "ask-it", "1")
    client.delete_prompt("empty-one")
    assert client.get_prompt("empty-one") is None


def tied_to_runs() -> None:
    """What a run loads, or is told, is noted at the run."""
    with mlflow.start_run() as run:
        mlflow.genai.load_prompt("prompts:/ask-it/1")
    if hasattr(client, "link_prompt_version_to_run"):
        client.link_prompt_version_to_run(run.info.run_id, "prompts:/ask-it/2")
        tag = client.get_run(run.info.run_id).data.tags["mlflow.linkedPrompts"]
        versions = {(one["name"], one["version"]) for one in json.loads(tag)}
        assert versions >= {("ask-it", "2")}, versions


def newer_prompts() -> None:
    """What the older client lacks: settings of the model, orders, prompts of an experiment."""
    if OLD:  # its store sends a version's number as a number, and cannot
        return
    found = client.search_prompt_versions("ask-it")
    assert sorted(int(one.version) for one in found) == [1, 2]
    client.set_prompt_version_tag("ask-it", "1", "seen", "yes")
    assert client.get_prompt_version("ask-it", "1").tags["seen"] == "yes"
    client.delete_prompt_version_tag("ask-it", "1", "seen")
    assert "seen" not in client.get_prompt_version("ask-it", "1").tags
    mlflow.genai.set_prompt_model_config(
        name="ask-it", version=1, model_config={"model_name": "small", "temperature": 0.5}
    )
    assert mlflow.genai.load_prompt("ask-it", version=1).model_config["temperature"] == 0.5
    mlflow.genai.delete_prompt_model_config("ask-it", 1)
    assert mlflow.genai.load_prompt("ask-it", version=1).model_config is None
    names = [p.name for p in client.search_prompts(order_by=["name DESC"])]
    assert names == sorted(names, reverse=True)
    experiment = client.create_experiment("prompts")
    mlflow.set_experiment(experiment_id=experiment)
    mlflow.genai.register_prompt("of-experiment", "x {{y}}")
    for _ in range(100):  # the client links them in a thread of its own
        found = [p.name for p in client.search_prompts(f'experiment_id = "{experiment}"')]
        if found:
            break
        time.sleep(0.05)
    assert found == ["of-experiment"], found


if __name__ == "__main__":
    steps = {step.__name__: step for step in (histories, datasets, prompts)}
    for name in sys.argv[2:] or steps:
        steps[name]()
        print("ok", name, flush=True)
