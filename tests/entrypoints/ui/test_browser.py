"""The pages in a real browser."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests import needs

HERE = Path(__file__).parent
ROOT = Path(__file__).parents[3]

pytestmark = pytest.mark.services


@pytest.fixture(scope="session")
def chromium() -> str:
    return shutil.which("chromium-browser") or needs.program("chromium")


@pytest.fixture(scope="session")
def browser_python() -> Path:
    """The Python of an environment with Playwright, made at the first use."""
    return needs.environment("browser")


@pytest.fixture
def served() -> Iterator[tuple[str, list[str]]]:
    """A filled server: its address, and those of its pages."""
    command = [sys.executable, str(HERE / "pages_workspace.py")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        paths = []
        for line in process.stdout:
            if line.startswith("ready at "):
                yield line.removeprefix("ready at ").strip(), paths
                return
            paths.append(line.strip())
        pytest.fail("the server ended before it was ready")
    finally:
        process.kill()
        process.communicate()


def test_nothing_stored_runs_in_a_browser(
    chromium: str, browser_python: Path, served: tuple[str, list[str]]
) -> None:
    """Every page over hostile texts: no dialog, no error on the console, nothing asked elsewhere.

    Curves are drawn, nothing is wider than the window, the table filters and sorts in place, the
    keyboard shows where it is, and without scripts all but the curves works.
    """
    address, paths = served
    done = subprocess.run(
        [str(browser_python), str(HERE / "browser" / "look.py"), chromium, address],
        input="\n".join(paths),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    found = json.loads(done.stdout)
    assert found["faults"] == []
    assert found["curves"] == 8
