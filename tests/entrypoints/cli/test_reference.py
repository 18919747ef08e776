"""The page of all commands is that of the commands."""

from __future__ import annotations

import importlib.util
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_the_committed_page_is_current():
    """docs/reference/commands.md is what scripts/reference_commands.py writes."""
    file = ROOT / "scripts" / "reference_commands.py"
    spec = importlib.util.spec_from_file_location("reference_commands", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    page = (ROOT / "docs" / "reference" / "commands.md").read_text("utf-8")
    assert page == module.commands_page(), "run scripts/reference_commands.py"
