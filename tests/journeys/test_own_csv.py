"""Someone's own CSV file becomes a served and watched model, with the commands of the tutorial."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys

import pytest

from tests.journeys.newcomer import HEADER, ask, customers, gateway, read_csv, write_csv


@pytest.fixture
def project(type_in, tmp_path, monkeypatch):
    write_csv(tmp_path / "customers.csv", [*HEADER, "churned"], customers(1500))
    said = type_in("init", "churn", "--template", "tabular", "--csv", "customers.csv", "--yes")
    assert said.code == 0, said.err
    monkeypatch.chdir(tmp_path / "churn")
    # Small trees: the journey is tested, not the last point of the metric.
    file = tmp_path / "churn" / "mainspring.toml"
    small = 'learner = "gradient_boosting"\nparameters = { rounds = 40, num_leaves = 7 }'
    file.write_text(file.read_text().replace('learner = "gradient_boosting"', small))
    return tmp_path / "churn"


def steps(document):
    return {one["step"]: one["state"] for one in document["steps"]}


def test_from_a_file_to_a_watched_model(type_in, project, tmp_path):
    """init, run, gateway, predict, new data, monitor: an alert names what changed in the world."""
    assert steps(type_in("run", "train", "--dry-run", "--json").document) == dict.fromkeys(
        ("ingest", "features", "train", "deploy"), "would run"
    )
    trained = type_in("run", "train")
    assert trained.code == 0, trained.err
    assert "churn/1 (champion)" in trained.out

    new = customers(600, first=1500, dearer=40.0, seed=9)
    file = write_csv(tmp_path / "new.csv", HEADER, [row[:-1] for row in new])
    scored = type_in("predict", "churn", "--input", str(file))
    assert scored.code == 0, scored.err
    offline = read_csv(scored.out)
    assert [row["customer_id"] for row in offline] == [row[0] for row in new]

    with gateway(project) as url:
        columns = dict(zip(HEADER, zip(*(row[:-1] for row in new), strict=True), strict=True))
        ids = columns.pop("customer_id")
        columns["region"] = [one or None for one in columns["region"]]
        online = ask(url, "churn", columns, ids)
        assert [float(row["score"]) for row in offline] == online["score"]
        assert [row["decision"] == "true" for row in offline] == online["decision"]

        before = type_in("monitor", "run", "--json").document
        assert (before["shipped"], before["outcomes"], before["windows"]) == (600, 0, [])

        rows = [*customers(1500), *new]
        write_csv(tmp_path / "customers.csv", [*HEADER, "churned"], rows)
        assert any("has changed" in text for text in type_in("status", "--json").document["due"])
        assert type_in("data", "ingest").code == 0
        watched = type_in("monitor", "run", "--until-now", "--json").document
    assert watched["outcomes"] == 600
    window = watched["windows"][0]
    assert (window["rows"], window["labelled"]) == (600, 600)
    assert [one["name"] for one in window["drift"] if one["moved"]] == ["monthly_charge"]
    assert window["metrics"]["auc"]["low"] < window["metrics"]["auc"]["high"]
    assert "inputs-moved" in [alert["monitor"] for alert in watched["alerts"]]
    assert type_in("monitor", "run", "--until-now", "--json").document["outcomes"] == 0
    assert "inputs-moved" in type_in("status").out
    assert type_in("audit", "verify").code == 0


def test_a_second_model_waits_as_candidate(type_in, project):
    """A later version does not replace the champion by itself; promoted and deployed it answers."""
    type_in("run", "train")
    again = type_in("run", "train", "--json").document
    assert steps(again) == {
        "ingest": "cached",
        "features": "cached",
        "train": "cached",
        "deploy": "ran",
    }
    second = type_in("run", "train", "--set", "learner=logistic")
    assert "churn/2 (candidate)" in second.out
    assert "models promote churn@candidate" in second.err
    assert (
        type_in("endpoints", "ls", "--json").document["endpoints"]["churn"]["variants"][0][
            "version"
        ]
        == "1"
    )
    assert type_in("models", "promote", "churn@candidate").code == 0
    deployed = type_in("endpoints", "deploy", "churn@champion", "--json").document
    assert (deployed["version"], deployed["changed"], deployed["champion"]) == (2, True, True)
    assert type_in("endpoints", "stop", "churn").code == 0
    assert type_in("endpoints", "stop", "churn").code == 3


def test_a_gate_that_says_no_is_told_with_its_reason(type_in, project):
    """A refused version is on record as rejected, the exit code is 1, and nothing is deployed."""
    file = project / "mainspring.toml"
    file.write_text(file.read_text().replace("at_least = 0.5", "at_least = 0.99"))
    for _ in range(2):  # a rerun says the same without training again
        said = type_in("run", "train")
        assert said.code == 1
        assert "[training.gates_refused]" in said.err
        assert "problem.auc" in said.err
    versions = type_in("models", "ls", "churn", "--json").document["versions"]
    assert [(one["number"], one["status"]) for one in versions] == [(1, "rejected")]
    assert type_in("endpoints", "ls", "--json").document["endpoints"] == {}
    assert type_in("predict", "churn", "--input", "../customers.csv").code == 3


def test_rows_the_model_has_learned_from_do_not_count(type_in, project, tmp_path):
    """Predicting its own training rows makes no model look better: their outcomes are left out."""
    type_in("run", "train")
    known = customers(1500)[:400]
    with gateway(project) as url:
        columns = dict(zip(HEADER, zip(*(row[:-1] for row in known), strict=True), strict=True))
        ids = columns.pop("customer_id")
        columns["region"] = [one or None for one in columns["region"]]
        ask(url, "churn", columns, ids)
        watched = type_in("monitor", "run", "--until-now", "--json").document
    assert (watched["outcomes"], watched["learned_from"]) == (0, 400)
    assert watched["windows"][0]["labelled"] == 0


def test_a_pipeline_of_ones_own_goes_on_where_it_failed(type_in, project):
    """Own functions take parameters and results; what was done before a failure is kept."""
    (project / "steps.py").write_text(
        "import pathlib\n"
        "import mainspring as ms\n\n\n"
        "@ms.step\ndef doubled(number: int = 2) -> int:\n"
        "    with pathlib.Path('calls.txt').open('a') as file:\n"
        "        file.write('x')\n"
        "    return 2 * number\n\n\n"
        "@ms.step\ndef told(doubled: int) -> str:\n"
        "    if not pathlib.Path('ready').exists():\n"
        "        raise RuntimeError('not ready')\n"
        "    return f'{doubled} it is'\n"
    )
    file = project / "mainspring.toml"
    file.write_text(
        file.read_text() + '\n[pipelines.tell.steps.doubled]\nrun = "steps.py:doubled"\n'
        '\n[pipelines.tell.steps.told]\nrun = "steps.py:told"\nneeds = ["doubled"]\n'
    )
    failed = type_in("run", "tell", "--set", "number=21")
    assert failed.code == 1
    assert "steps.py:told, line 15" in failed.err
    assert "not ready" in failed.err
    (project / "ready").touch()
    done = type_in("run", "tell", "--set", "number=21", "--json").document
    assert [one["result"] for one in done["steps"]] == [42, "42 it is"]
    assert (project / "calls.txt").read_text() == "x"
    executions = type_in("executions", "ls", "tell", "--json").document["executions"]
    assert [one["state"] for one in executions] == ["done"]
    assert "[pipelines.unknown_parameter]" in type_in("run", "tell", "--set", "numbr=1").err


def test_an_endpoint_serves_what_was_deployed_before_the_gateway_ran(type_in, project):
    """Routes written while no gateway runs are those it starts with, and stay after it ends."""
    type_in("run", "train")
    with gateway(project):
        assert type_in("endpoints", "ls", "--json").document["gateway"]
        assert "churn" in type_in("endpoints", "ls").out
    shutil.rmtree(project / ".mainspring" / "serving")
    assert type_in("endpoints", "ls", "--json").document["endpoints"] == {}
    assert any("not deployed" in text for text in type_in("status", "--json").document["due"])
    assert type_in("endpoints", "deploy", "churn").code == 0
    with gateway(project) as url:
        assert url == type_in("status", "--json").document["gateway"]


@pytest.mark.slow
def test_a_killed_run_goes_on_with_the_same_command(type_in, project):
    """Killed at any moment, the same command completes: one version, one champion, a sound record."""
    seed = int(os.environ.get("FAULT_SEED", random.SystemRandom().randrange(10**9)))
    print(f"FAULT_SEED={seed}")
    draw = random.Random(seed)
    command = [sys.executable, "-m", "mainspring", "run", "train"]
    for _ in range(6):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            process.wait(draw.uniform(0.5, 6.0))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    assert type_in("run", "train").code == 0
    versions = type_in("models", "ls", "churn", "--json").document["versions"]
    assert [(one["number"], one["status"]) for one in versions] == [(1, "registered")]
    executions = type_in("executions", "ls", "train", "--json").document["executions"]
    assert [one["state"] for one in executions] == ["done"]
    datasets = type_in("data", "ls", "--json").document["datasets"]
    assert [(one["version"], one["rows"]) for one in datasets] == [(1, 1500)]
    assert type_in("audit", "verify").code == 0
