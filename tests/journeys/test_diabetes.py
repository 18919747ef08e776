"""The second example: how much instead of whether, on data without a time and without a key."""

from __future__ import annotations

import numpy as np

from mainspring._bootstrap.workspace import open_workspace
from mainspring.projects.rows import FeatureRows
from tests.journeys.newcomer import ask, gateway, read_csv

MEASURED = ["age", "sex", "bmi", "blood_pressure", "tc", "ldl", "hdl", "tch", "ltg", "glucose"]


def test_from_a_question_of_how_much_to_a_watched_model(type_in, tmp_path, monkeypatch):
    """init, run, gateway, predict, monitor on the regression example; both ways give one answer."""
    assert type_in("init", "dia", "--template", "diabetes").code == 0
    folder = tmp_path / "dia"
    monkeypatch.chdir(folder)
    trained = type_in("run", "train", "--json").document
    result = {one["step"]: one["result"] for one in trained["steps"]}["train"]
    assert result["alias"] == "champion"
    assert result["metrics"]["r2"] > 0.4
    assert "guardrail.mae.sex" in result["passed"]
    assert "better-than-guessing" in result["passed"]

    with open_workspace(folder) as workspace:
        rows = workspace.datasets.read(
            f"SELECT patient, {', '.join(MEASURED)} FROM patients ORDER BY patient",
            {"patients": None},
        )
        table = FeatureRows(workspace.tables, workspace.features.show("examination")).known_by(None)
    lines = zip(*(values.tolist() for values in rows.values()), strict=True)
    text = "\n".join([",".join(rows), *(",".join(map(str, line)) for line in lines)])
    (folder / "patients.csv").write_text(text + "\n")
    scored = type_in("predict", "progression", "--input", "patients.csv")
    assert scored.code == 0, scored.err
    offline = {row["patient"]: float(row["value"]) for row in read_csv(scored.out)}

    with gateway(folder) as url:
        columns = {name: values.tolist() for name, values in table.inputs.items()}
        online = ask(url, "progression", columns, table.keys.tolist())
        watched = type_in("monitor", "run", "--until-now", "--json").document
    assert [offline[key] for key in table.keys.tolist()] == online["score"]
    assert np.corrcoef(online["score"], table.target)[0, 1] > 0.6
    assert "decision" not in online
    assert (watched["shipped"], watched["learned_from"]) == (442, 442)
    window = watched["windows"][0]
    assert [one["name"] for one in window["drift"] if one["moved"]] == []
    assert watched["alerts"] == []
