"""The whole loop on a small project, as a user runs it; and what kill -9 cannot do to it."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime

import pytest

from mainspring._bootstrap.workspace import open_workspace
from mainspring.monitoring import live
from tests.journeys.orders import write_project

COMMAND = [sys.executable, "-m", "mainspring", "loop", "replay", "--json"]
DIFFERENT_EACH_TIME = ("seconds", "report")


def play(folder):
    run = subprocess.run(
        COMMAND, cwd=folder, capture_output=True, text=True, timeout=300, check=False
    )
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


@pytest.fixture(scope="module")
def played(tmp_path_factory):
    folder = write_project(tmp_path_factory.mktemp("orders"))
    return folder, play(folder)


def same(document):
    return {k: v for k, v in document.items() if k not in DIFFERENT_EACH_TIME}


def test_a_changed_world_is_noticed_learned_and_released(played):
    """The drop raises an alert, a challenger beats the champion, and the champion gains by it."""
    _, document = played
    assert document["audit_ok"]
    statuses = [version["status"] for version in document["versions"]]
    assert statuses.count("champion") == 1
    assert statuses[0] == "replaced"
    assert all(version["reason"] for version in document["versions"])
    march = document["months"][-1]
    assert march["month"] == "2021-03"
    assert march["champion_auc"] > march["frozen_auc"] + 0.05
    assert any("auc-drop" in window["alerts"] for window in document["windows"])
    moves = [decision["move"] for decision in document["decisions"]]
    assert [m for m in ("requested", "shadow", "canary", "promoted") if m not in moves] == []


def test_every_prediction_is_counted_once_and_every_bad_row_set_aside(played):
    """As many predictions as rows of the stretch, each id once; the bad row is in quarantine."""
    folder, document = played
    with open_workspace(folder) as workspace:
        begin, end = datetime(2021, 1, 31, tzinfo=UTC), datetime(2021, 3, 23, tzinfo=UTC)
        rows = live.answered(workspace.tables, "returns", begin, end, now=end)
        ids = rows["prediction_id"].tolist()
        assert len(ids) == len(set(ids)) == document["predictions_served"]
        assert len(workspace.datasets.quarantined("orders")["order_id"]) == 1


def test_from_the_objective_one_can_walk_to_the_outcome_and_back(played):
    """Lineage joins objective, data, features, models, windows and predictions both ways."""
    folder, document = played
    with open_workspace(folder) as workspace:
        record = workspace.governance
        down = {node.type for node in record.downstream("objective:orders").nodes}
        up = {node.type for node in record.upstream("endpoint:returns").nodes}
    assert {"problem", "run", "model", "endpoint", "window", "predictions"} <= down
    assert {"model", "run", "features", "dataset", "problem", "objective"} <= up
    assert document["lineage_nodes"] > 10


def test_playing_again_changes_nothing(played):
    """The same command on a finished replay gives the same document and adds no event."""
    folder, document = played
    assert same(play(folder)) == same(document)


def test_two_plays_give_the_same_numbers(played, tmp_path):
    """With the same seed every number is the same on every run."""
    _, document = played
    assert same(play(write_project(tmp_path / "again"))) == same(document)


@pytest.mark.slow
def test_kill_9_at_ten_random_moments_loses_and_doubles_nothing(played, tmp_path):
    """Killed ten times and started again, the replay ends where an undisturbed one ends."""
    _, document = played
    folder = write_project(tmp_path / "killed")
    seed = int(os.environ.get("MAINSPRING_TEST_SEED", "20130101"))
    print(f"seed {seed}")
    draw, kills = random.Random(seed), 0
    while kills < 10:
        process = subprocess.Popen(
            COMMAND, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        deadline = time.monotonic() + draw.uniform(0.3, 3.0)
        while process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        if process.poll() is not None:
            break
        process.send_signal(signal.SIGKILL)
        process.communicate()
        kills += 1
    assert kills == 10, "the replay ended before it was killed ten times"
    ended = play(folder)
    for name in ("months", "windows", "versions", "decisions", "predictions_served", "rows"):
        assert ended[name] == document[name], name
    assert ended["audit_ok"]
