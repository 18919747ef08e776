"""The terminal against a folder and against a server: the same words, the same answers."""

from __future__ import annotations

import json
from typing import Any

import pytest

import mainspring as ms
from mainspring._entrypoints.cli import main
from mainspring.core.ids import new_id
from mainspring.registry import ANYTHING, Details


def test_runs_are_listed_shown_compared_and_watched(
    ws: ms.Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    """What the terminal reads is what was logged, wherever it lies."""
    experiment, ids = f"e-{new_id()}", []
    for depth in (2, 6):
        with ws.runs.start(f"d{depth}", experiment=experiment, params={"depth": depth}) as run:
            for step in range(4):
                run.log({"auc": depth / 10 + step / 100}, step=step)
        ids.append(run.id)

    def told(*words: str) -> str:
        assert main(words) == 0
        return capsys.readouterr().out

    def document(*words: str) -> Any:
        return json.loads(told(*words, "--json"))

    listed = told("runs", "ls", "--experiment", experiment, "--trend", "auc")
    assert "▁▃▆█" in listed
    assert listed.index(ids[1]) < listed.index(ids[0])  # the newest first
    found = document("runs", "ls", "--experiment", experiment, "--filter", "metrics.auc > 0.5")
    assert [run["id"] for run in found["runs"]] == [ids[1]]
    assert document("runs", "show", ids[0])["run"]["params"] == {"depth": "2"}
    assert "param depth" in told("runs", "compare", *ids)
    assert document("runs", "watch", ids[0])["run"]["status"] == "FINISHED"
    assert told("runs", "sync") == "Nothing waits.\n"


def test_models_are_moved_and_told_as_they_were(
    ws: ms.Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    """Promote, roll back, and what was in production at a moment between."""
    name = f"m-{new_id()}"
    ws.registry.models.register(name)
    for _ in range(2):
        ws.registry.versions.create_from_source(name, Details(source="s3://b/x"))
    ws.registry.aliases.move(name, "champion", to=1, expected=ANYTHING)

    def document(*words: str) -> Any:
        assert main([*words, "--json"]) == 0
        return json.loads(capsys.readouterr().out)

    document("models", "promote", f"{name}/2", "--why", "better")
    document("models", "rollback", f"{name}@champion")
    moves = document("models", "history", f"{name}@champion")["moves"]
    assert [(move["before"], move["after"]) for move in moves] == [(2, 1), (1, 2), (None, 1)]
    at = moves[1]["time"]
    assert document("models", "history", f"{name}@champion", "--at", at)["version"] == 2
    assert document("models", "history", name, "--at", "2001-01-01")["version"] is None
    shown = document("models", "show", f"{name}@champion")
    assert shown["version"]["number"] == 1
    assert [one["number"] for one in document("models", "ls", name)["versions"]] == [2, 1]
    assert main(["models", "history", name, "--at", "soon"]) == 2
