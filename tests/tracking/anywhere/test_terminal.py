"""The terminal's verbs that change runs, experiments and models, in a folder and on a server."""

from __future__ import annotations

import json
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from packages import packed

import mainspring as ms
from mainspring._entrypoints.cli import main
from mainspring.core.ids import new_id

Say = Callable[..., tuple[int, Any]]


@pytest.fixture
def say(ws: ms.Workspace, capsys: pytest.CaptureFixture[str]) -> Say:
    """A command's exit code, and its document when it has one, else what it complained of."""
    del ws  # the environment names it

    def run(*words: str) -> tuple[int, Any]:
        capsys.readouterr()
        code = main([*words, "--json"])
        told = capsys.readouterr()
        return code, json.loads(told.out) if told.out else told.err

    return run


def test_an_experiment_from_making_to_restoring(ws: ms.Workspace, say: Say) -> None:
    """Named by name or id; deleting hides its runs, restoring brings them back."""
    name, other = f"first-{new_id()}", f"other-{new_id()}"
    made = say("experiments", "create", name)[1]["experiment"]
    assert say("experiments", "create", name)[0] == 1
    with ws.runs.start("one", experiment=name) as run:
        run.log({"loss": 1.0})
    code, found = say("experiments", "rename", made["id"], other)
    assert (code, found["experiment"]["name"]) == (0, other)
    assert say("experiments", "show", name)[0] == 3
    tagged = say("experiments", "tag", other, "team=a=b", "note=What it is for.")[1]["experiment"]
    assert tagged["tags"] == {"team": "a=b", "mlflow.note.content": "What it is for."}
    assert say("experiments", "tag", other, "nothing")[0] == 2
    shown = say("experiments", "show", other)[1]
    assert (shown["experiment"]["id"], shown["runs"]) == (made["id"], [run.id])
    assert say("experiments", "delete", other)[1]["experiment"]["state"] == "deleted"
    quoted = f"name = '{other}'"
    assert say("experiments", "ls", "--filter", quoted)[1]["experiments"] == []
    deleted = say("experiments", "ls", "--deleted", "--filter", quoted)[1]["experiments"]
    assert [one["name"] for one in deleted] == [other]
    assert say("experiments", "delete", other)[0] == 3
    assert say("experiments", "restore", other)[1]["experiment"]["state"] == "active"
    assert say("runs", "ls", "--experiment", other)[1]["runs"][0]["id"] == run.id


def test_runs_are_tagged_deleted_and_restored(ws: ms.Workspace, say: Say) -> None:
    """By whole id; one that is not there stops all of it before anything changed."""
    name = f"many-{new_id()}"
    ids = []
    for number in range(2):
        with ws.runs.start(str(number), experiment=name) as run:
            ids.append(run.id)
    tags = say("runs", "tag", ids[0], "note=Good.", "stage=1")[1]["tags"]
    assert (tags["mlflow.note.content"], tags["stage"]) == ("Good.", "1")
    assert say("runs", "delete", *ids, "0" * 32)[0] == 3
    assert len(say("runs", "ls", "--experiment", name)[1]["runs"]) == 2
    assert say("runs", "delete", *ids)[1]["runs"] == ids
    assert say("runs", "ls", "--experiment", name)[1]["runs"] == []
    assert say("runs", "restore", ids[1])[0] == 0
    assert [one["id"] for one in say("runs", "ls", "--experiment", name)[1]["runs"]] == [ids[1]]


def test_packages_by_the_terminal(ws: ms.Workspace, say: Say, tmp_path: Path) -> None:
    """Import, verify, diff and export work alike."""
    name = f"late-{new_id()}"
    for number in (1, 2):
        file = tmp_path / f"{number}.zip"
        file.write_bytes(packed(tmp_path / "made", number))
        version = say("models", "import", str(file), "--name", name, "--why", "w")[1]["version"]
        assert version["number"] == number
    assert say("models", "verify", f"{name}/2")[1]["ok"] is True
    differences = say("models", "diff", f"{name}/1", "2")[1]["differences"]
    assert [one["key"] for one in differences] == ["more.bin"]
    out = tmp_path / "out.zip"
    assert say("models", "export", f"{name}/2", "-o", str(out))[0] == 0
    again = ws.registry.transfers.load(BytesIO(out.read_bytes()), name=f"again-{new_id()}")
    assert again.package == version["package"]
    assert say("models", "export", f"{name}/9", "-o", str(tmp_path / "no.zip"))[0] == 3
    assert not list(tmp_path.glob("*no.zip*"))
