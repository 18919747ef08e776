"""The worker: schedules kept once, and jobs that outlive their worker."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys

import pytest

from mainspring._bootstrap.workspace import open_workspace

WORK = """
from pathlib import Path

HERE = Path(__file__).parent

def told(text):
    with (HERE / "effects").open("a") as file:
        file.write(text + "\\n")
    return text

def first():
    return told("first")

def second():
    (HERE / "started").open("wb").write(b"x")
    with (HERE / "go").open("rb", buffering=0) as go:
        go.read(1)
    return told("second")

def wrong():
    raise ValueError("no such luck")
"""
PIPELINES = """
[pipelines.two.steps.first]
run = "work.py:first"
[pipelines.two.steps.second]
run = "work.py:second"
needs = ["first"]
[pipelines.wrong.steps.wrong]
run = "work.py:wrong"
[pipelines.often]
schedule = "0 0 * * *"
[pipelines.often.steps.first]
run = "work.py:first"
"""


@pytest.fixture
def shop(project):
    (project / "work.py").write_text(WORK)
    file = project / "mainspring.toml"
    file.write_text(file.read_text() + PIPELINES)
    return project


def jobs(folder, pipeline):
    """State and attempts of a pipeline's jobs."""
    with open_workspace(folder) as workspace:
        rows = workspace.database.read(
            lambda db: db.all("SELECT state, attempt, arguments FROM jobs ORDER BY id")
        )
    return [(state, attempt) for state, attempt, text in rows if f'"{pipeline}"' in text]


@pytest.fixture
def start(shop):
    """Starts workers with a lease of one second; none outlives the test."""
    started = []

    def begin():
        command = [sys.executable, "-m", "mainspring", "worker", "--lease", "1"]
        started.append(subprocess.Popen(command, cwd=shop, stderr=subprocess.PIPE))
        return started[-1]

    yield begin
    for process in started:
        if process.poll() is None:
            process.kill()
        process.wait(30)
        process.stderr.close()


@pytest.fixture
def pipes(shop):
    """Two named pipes: what the step says when it is under way, and what lets it go on."""
    for name in ("started", "go"):
        os.mkfifo(shop / name)
    found = [os.open(shop / name, os.O_RDWR) for name in ("started", "go")]
    yield found
    for one in found:
        os.close(one)


def test_a_job_outlives_its_worker(shop, cli, start, pipes):
    """Kill -9 in mid-job: the next worker takes the job when the lease is over and completes it.

    What the dead one had finished is not done again; SIGTERM waits for the job under way.
    """
    under_way, go = pipes
    assert cli("run", "two", "--queue", "--json").document["job"]
    killed = start()
    assert select.select([under_way], [], [], 60)[0]
    os.read(under_way, 1)
    assert jobs(shop, "two") == [("leased", 1)]
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait(30)
    second = start()
    assert select.select([under_way], [], [], 60)[0]
    second.send_signal(signal.SIGTERM)
    os.write(go, b"x")
    assert second.wait(60) == 0, second.stderr.read()
    assert jobs(shop, "two") == [("done", 2)]
    effects = (shop / "effects").read_text().split()
    assert effects.count("second") == 1
    assert effects.count("first") == 1


def test_a_schedule_is_kept_once(shop, cli):
    """The newest due minute is enqueued and run; a second worker finds nothing left to do."""
    assert cli("worker", "--once", "--json").document["done"] == 1
    assert cli("worker", "--once", "--json").document["done"] == 0
    assert jobs(shop, "often") == [("done", 1)]


def test_a_job_that_fails_is_told_and_tried_later(shop, cli):
    """The user's error is shown, the exit code is 1, and the job waits for its next attempt."""
    assert cli("run", "wrong", "--queue").code == 0
    answer = cli("worker", "--once")
    assert answer.code == 1
    assert "no such luck" in answer.err
    assert "Traceback" not in answer.err
    assert jobs(shop, "wrong") == [("waiting", 1)]


def test_only_what_exists_is_queued(shop, cli):
    """A misspelt pipeline is refused at once, not by the worker later."""
    assert cli("run", "tow", "--queue").code == 3
    assert jobs(shop, "tow") == []
