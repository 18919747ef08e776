"""A newcomer's folder, and commands typed in it."""

from __future__ import annotations

import pytest

from mainspring._entrypoints.cli import main
from tests.journeys.newcomer import Answer


@pytest.fixture
def type_in(capsys, monkeypatch, tmp_path):
    """Runs a command as if typed in a folder (``tmp_path`` unless ``cd`` was called)."""
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("MAINSPRING_THREADS", "2")
    monkeypatch.chdir(tmp_path)

    def run(*words: str) -> Answer:
        capsys.readouterr()
        code = main(list(words))
        said = capsys.readouterr()
        return Answer(code, said.out, said.err)

    return run
