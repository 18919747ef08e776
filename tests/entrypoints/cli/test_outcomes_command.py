"""``mainspring outcomes``, as a person meets it."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from mainspring._bootstrap.workspace import open_workspace
from mainspring.ports.tables import TableVersion
from mainspring.serving.outcomes import outcome_table
from mainspring.serving.shipping import prediction_table

ROW = {"prediction_id": "p1", "outcome": 1, "known_at": "2024-01-02T00:00:00Z"}


@pytest.fixture
def served(ingested):
    """The project, whose endpoint has answered once."""
    with open_workspace(ingested) as workspace:
        answered = {"prediction_id": np.array(["p1"], object), "score": np.ones(1)}
        workspace.tables.append(prediction_table("shop"), answered)
    return ingested


def stored(project):
    with open_workspace(project) as workspace:
        rows = workspace.tables.query(
            "SELECT * FROM o ORDER BY 1, outcome", {"o": TableVersion(outcome_table("shop"))}
        )
        return list(zip(rows["prediction_id"].tolist(), rows["outcome"].tolist(), strict=True))


def test_a_dataset_tells_outcomes(served, cli):
    """Known since the version was made; told twice they are stored once, and it is on record."""
    words = ("outcomes", "import", "shop", "--dataset", "rows", "--prediction", "order_id")
    first = cli(*words, "--outcome", "returned", "--json")
    assert first.code == 0, first.err
    said = first.document
    assert said["stored"] + said["waiting"] == said["rows"]
    assert said["stored"] == len(stored(served)) > 0
    again = cli(*words, "--outcome", "returned", "--json").document
    assert (again["stored"], again["known"]) == (0, said["stored"])
    (fact,) = cli("audit", "log", "--kind", "projects.outcomes", "--json").document["events"]
    assert fact["facts"]["rows"] == said["stored"]
    assert any("rows@1" in one for one in fact["used"])


def test_a_file_with_a_flaw_names_its_row(served, cli, tmp_path):
    """Exit code 2, the row, and what was stored before it."""
    file = tmp_path / "o.jsonl"
    file.write_text(json.dumps(ROW) + "\n" + json.dumps({**ROW, "outcome": "late"}) + "\n")
    found = cli("outcomes", "import", "shop", "--file", str(file), "--json")
    assert found.code == 2
    assert found.document["error"]["facts"] == {"row": 2, "stored": 1}
    assert "Row 2 " in found.err
    assert stored(served) == [("p1", 1.0)]


def test_an_endpoint_that_is_not_there_ends_in_3(served, cli, tmp_path):
    """As everywhere."""
    (tmp_path / "o.jsonl").write_text(json.dumps(ROW))
    words = ("outcomes", "import", "shp", "--file", str(tmp_path / "o.jsonl"))
    assert cli(*words).code == 3
    assert cli("outcomes", "import", "shop", "--file", "nowhere.jsonl").code == 3
    assert cli("outcomes", "import", "shop", "--file", "-", "--format", "parquet").code == 2


def test_a_stream_is_stored_while_it_is_open(served):
    """What came is in the table after a pause, before the stream has ended; then the rest."""
    command = [sys.executable, "-m", "mainspring", "outcomes", "import", "shop", "--file", "-"]
    process = subprocess.Popen(
        [*command, "--pause", "0.05", "--json"],
        cwd=served,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "COLUMNS": "80"},
    )
    process.stdin.write(json.dumps(ROW).encode() + b"\n")
    process.stdin.flush()
    with open_workspace(served) as workspace:
        while not workspace.tables.exists(outcome_table("shop")):
            assert process.poll() is None
    assert stored(served) == [("p1", 1.0)]
    out, _ = process.communicate(json.dumps({**ROW, "prediction_id": "p2"}).encode(), timeout=60)
    assert process.returncode == 0
    assert json.loads(out)["stored"] == 2
    assert stored(served) == [("p1", 1.0), ("p2", 1.0)]
