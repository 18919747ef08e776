"""Ray is tested where it is installed: in an environment of its own."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from tests.needs import environment

ROOT = Path(__file__).parents[2]


@pytest.mark.services
def test_ray_does_the_work_of_other_processes():
    """All that lies in ``with_ray`` holds there, and none of it is skipped."""
    python = environment("ray-compute")
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    done = subprocess.run(
        # Ray's own warnings are no failures of ours.
        [python, "-m", "pytest", "-q", "-rs", "-o", "filterwarnings=", "tests/adapters/with_ray"],
        cwd=ROOT,
        env={**kept, "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    assert "skipped" not in done.stdout
