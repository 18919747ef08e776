"""Programs of PyTorch are tested where it is installed: in an environment of its own."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from tests.needs import environment

ROOT = Path(__file__).parents[2]


@pytest.mark.services
def test_programs_of_pytorch_are_kept_and_answer():
    """All that lies in ``with_torch`` holds there, and none of it is skipped."""
    python = environment("torch")
    done = subprocess.run(
        [python, "-m", "pytest", "-q", "-rs", "tests/adapters/with_torch"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    assert "skipped" not in done.stdout
