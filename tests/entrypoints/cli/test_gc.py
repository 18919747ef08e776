"""``mainspring gc``: what would go, what went, and what stays."""

from __future__ import annotations

from mainspring._bootstrap.workspace import open_workspace


def test_it_says_first_and_frees_then(cli, tmp_path):
    """--dry-run changes nothing; without it the same goes; --json carries the numbers."""
    with open_workspace(tmp_path / ".mainspring") as workspace:
        run = workspace.tracking.runs.create("0")
        workspace.tracking.artifacts.put(f"0/{run.id}/artifacts/a.bin", b"x" * 5000)
        workspace.tracking.runs.delete(run.id)
    told = cli("gc", "--dry-run", "--grace", "0s")
    assert told.code == 0
    assert run.id in told.out
    assert "5.0 kB in 1 objects" in told.out
    document = cli("gc", "--dry-run", "--grace", "0s", "--json").document
    assert (document["dry_run"], document["found"]["size_bytes"]) == (True, 5000)
    assert "stay for now" in cli("gc", "--dry-run").err
    assert "Freed 5.0 kB in 1 objects." in cli("gc", "--grace", "0s").out
    assert cli("gc", "--json", "--grace", "0s").document["found"]["objects"] == 0
    assert cli("gc", "--grace", "soon").code == 2
