"""What a run notes by itself: code, packages, machine, its load, and what was printed."""

from __future__ import annotations

import doctest
import io
import json
import math
import subprocess
import sys
import threading
import zipfile
from pathlib import Path

import pytest

import mainspring as ms
from mainspring._adapters.surroundings import capture_process, capture_surroundings, system, watches
from mainspring._adapters.surroundings.code import MOST_BYTES, capture_code
from mainspring._adapters.surroundings.console import Console, Transcript
from mainspring._adapters.surroundings.noting import Noting
from mainspring._adapters.surroundings.system import Machine, SystemMetrics
from mainspring.core.errors import Invalid
from mainspring.tracking.active import Surroundings


class Listening:
    """Stands where a run does, and keeps what it is given."""

    def __init__(self) -> None:
        self.samples: list[tuple[dict[str, float], int]] = []
        self.files: dict[str, bytes] = {}
        self.heard = threading.Event()

    def sample(self, values, step):
        self.samples.append((dict(values), step))
        if len(self.samples) >= 3:
            self.heard.set()

    def artifact(self, name, content):
        self.files[name] = content


def git(folder: Path, *words: str) -> None:
    who = ["-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run(["git", "-C", str(folder), *who, *words], check=True, capture_output=True)


def names(data: bytes) -> list[str]:
    return zipfile.ZipFile(io.BytesIO(data)).namelist()


def test_a_commit_and_what_differs_from_it(tmp_path: Path) -> None:
    """The commit's id, the uncommitted diff, and files of code that no commit knows."""
    git(tmp_path, "init", "-q")
    (tmp_path / "a.py").write_text("x = 1\n")
    git(tmp_path, "add", "a.py")
    git(tmp_path, "commit", "-qm", "first")
    tags, files = capture_code(tmp_path)
    assert (len(tags["mlflow.source.git.commit"]), tags["mlflow.source.git.dirty"]) == (40, "false")
    assert files == {}
    (tmp_path / "a.py").write_text("x = 2\n")
    (tmp_path / "new name.py").write_text("y = 1\n")
    (tmp_path / "data.csv").write_text("1\n")
    tags, files = capture_code(tmp_path)
    assert tags["mlflow.source.git.dirty"] == "true"
    assert b"+x = 2" in files["uncommitted.diff"]
    assert names(files["untracked.zip"]) == ["new name.py"]


def test_a_snapshot_where_there_is_no_git(tmp_path: Path) -> None:
    """Files of code, without hidden folders, environments, links and what is too large."""
    for name in ("a.py", "sub/b.yaml", ".hidden/c.py", "venv/d.py", "e.csv"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("x")
    (tmp_path / "large.py").write_bytes(b"x" * (MOST_BYTES + 1))
    (tmp_path / "link.py").symlink_to("/etc/passwd")
    tags, files = capture_code(tmp_path)
    assert tags == {}
    assert names(files["code.zip"]) == ["a.py", "sub/b.yaml"]


@pytest.mark.parametrize("part", ["environment", "machine", "code"])
def test_each_part_is_there_when_asked_and_not_otherwise(tmp_path: Path, part: str) -> None:
    """The command is always noted; the rest by the setting."""
    (tmp_path / "a.py").write_text("x")
    assert capture_process().tags["mainspring.command"]
    assert capture_surroundings([], tmp_path) == Surroundings()
    asked = capture_surroundings([part], tmp_path)
    kinds = {"environment": "environment.txt", "machine": "machine.json", "code": "code.zip"}
    assert list(asked.files) == [kinds[part]]


def test_the_machine_is_read_without_anything_installed() -> None:
    """Shares lie between 0 and 100, memory is some; the numbers are finite."""
    found = Machine().read()
    for name in ("system/cpu_utilization_percentage", "system/system_memory_usage_percentage"):
        assert 0 <= found[name] <= 100
    assert found["system/process_memory_megabytes"] > 1
    assert all(math.isfinite(value) for value in found.values())
    assert doctest.testmod(system).failed == 0


def test_samples_come_in_a_thread_that_ends_with_the_last_run(monkeypatch) -> None:
    """One thread for several runs; steps count; after many samples they come more rarely."""
    before = threading.enumerate()
    metrics, one, other = SystemMetrics(every_seconds=0.001), Listening(), Listening()
    stops = [metrics(one), metrics(other)]
    assert one.heard.wait(10)
    assert other.heard.wait(10)
    threads = [
        t for t in threading.enumerate() if t.name == "mainspring-system" and t not in before
    ]
    assert len(threads) == 1
    for stop in stops:
        stop()
    threads[0].join(10)
    assert not threads[0].is_alive()
    assert [step for _, step in one.samples[:3]] == [0, 1, 2]
    monkeypatch.setattr(system, "DENSE_SAMPLES", 2)
    rare = Listening()
    sparse = SystemMetrics(every_seconds=0.001)
    stop = sparse(rare)
    assert rare.heard.wait(10)
    stop()
    assert [step for _, step in rare.samples[:3]] == [0, 1, 2]
    assert all(step % 2 == 0 for _, step in rare.samples[2:])


def test_what_is_printed_is_kept_and_the_streams_come_back(capsys) -> None:
    """Two runs hear what was printed while they went on; nobody's output changes."""
    before = (sys.stdout, sys.stderr)
    console, outer, inner = Console(), Listening(), Listening()
    stop_outer = console(outer)
    print("one")
    stop_inner = console(inner)
    print("two", file=sys.stderr)
    stop_inner()
    print("three")
    stop_outer()
    print("four")
    assert (sys.stdout, sys.stderr) == before
    assert outer.files == {"mainspring/console.txt": b"one\ntwo\nthree\n"}
    assert inner.files == {"mainspring/console.txt": b"two\n"}
    told = capsys.readouterr()
    assert (told.out, told.err) == ("one\nthree\nfour\n", "two\n")


def test_a_stream_that_someone_else_replaced_stays_theirs(monkeypatch) -> None:
    """We put back only what is still ours."""
    stop = Console()(Listening())
    theirs = io.StringIO()
    monkeypatch.setattr(sys, "stdout", theirs)
    stop()
    assert sys.stdout is theirs


def test_a_transcript_is_bounded() -> None:
    """The beginning and the end are kept, and how much lies between is said."""
    transcript = Transcript(first=10, last=20)
    for at in range(1000):
        transcript.add(f"{at:04}\n")
    text = transcript.text()
    assert text.startswith("0000\n0001\n")
    assert text.endswith("0998\n0999\n")
    assert "4970 letters left out" in text
    whole = Transcript(first=10, last=20)
    whole.add("short")
    assert whole.text() == "short"


def test_runs_in_close_succession_are_noted_once() -> None:
    """What was captured a moment ago serves again, and the end of a run waits for its notes."""
    captured = []

    def capture() -> Surroundings:
        captured.append(1)
        return Surroundings(files={"a.txt": b"1"})

    noting, runs = Noting(capture), [Listening() for _ in range(3)]
    for run in runs:
        noting(run)()
    assert [run.files for run in runs] == [{"mainspring/a.txt": b"1"}] * 3
    assert len(captured) == 1


def test_the_settings_say_what_is_noted(tmp_path: Path, monkeypatch) -> None:
    """All of it at once in a real run; a misspelt word is refused with the nearest."""
    assert watches([]) == ()
    monkeypatch.setenv("MAINSPRING_CAPTURE", "code,environment,machine,system,console")
    with ms.open(tmp_path / "a") as ws, ws.runs.start() as run:
        print("hello")
    with ms.open(tmp_path / "a") as ws:
        root = ws.runs.get(run.id).artifact_uri.partition(":")[2].strip("/")
        files = dict(ws.tracking.artifacts.tree(f"{root}/mainspring"))
        assert {"environment.txt", "machine.json", "console.txt"} <= set(files)
        with ws.tracking.artifacts.open(f"{root}/mainspring/machine.json")[1] as stream:
            assert json.loads(stream.read())["cores"] >= 1
    for name, text in (("MAINSPRING_CAPTURE", "cod"), ("MAINSPRING_MODE", "of")):
        with monkeypatch.context() as patch:
            patch.setenv(name, text)
            with ms.open(tmp_path / "b") as ws, pytest.raises(Invalid):
                ws.runs.start()
