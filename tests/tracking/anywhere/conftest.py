from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

import mainspring as ms
from serving import Server, served

TOKEN = "a-token-of-the-tests-0123456789"


@pytest.fixture(autouse=True)
def own_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of the machine, and a state folder of the test's own."""
    for name in [name for name in os.environ if name.startswith("MAINSPRING_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("MAINSPRING_CAPTURE", "")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with served(tmp_path_factory.mktemp("served"), MAINSPRING_TOKEN=TOKEN) as server:
        yield server


@pytest.fixture(params=["folder", "server"])
def ws(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[ms.Workspace]:
    """A workspace in a folder, and one on a real server that asks for a token."""
    if request.param == "server":
        monkeypatch.setenv("MAINSPRING_URL", request.getfixturevalue("server").url)
        monkeypatch.setenv("MAINSPRING_TOKEN", TOKEN)
    else:
        monkeypatch.setenv("MAINSPRING_WORKSPACE", str(tmp_path / "folder"))
    with ms.open() as workspace:
        yield workspace
