"""Reporting what became of predictions."""

from __future__ import annotations

import signal
from datetime import UTC, datetime

import numpy as np
import pytest

from mainspring._adapters.delta.tables import DeltaTables
from mainspring.ports.tables import TableVersion
from mainspring.serving import Variant, ship
from mainspring.serving.outcomes import outcome_table
from mainspring.serving.shipping import prediction_table

ROWS = {"miles": np.ones(3), "wind": np.zeros(3), "carrier": np.array(["AA"] * 3, object)}


def test_outcomes_survive_a_kill_and_join_their_predictions(own_gateway, tmp_path):
    """A report that was answered is in the table once, whatever happens to the gateway."""
    own_gateway.deploy(
        "late", Variant(name="champion", model=own_gateway.constant(0.25), version="1")
    )
    own_gateway.client.predict("late", ROWS, ids=["a", "b", "c"], durable=True)
    report = {
        "outcomes": [
            {"prediction_id": "a", "outcome": 1, "known_at": "2013-05-01T12:00:00Z"},
            {"prediction_id": "b", "outcome": False},
        ]
    }
    response = own_gateway.http.post("/endpoints/late/outcomes", json=report)
    assert response.status_code == 200, response.text
    moment = datetime(2013, 5, 2, tzinfo=UTC)
    own_gateway.client.report("late", [0.5], ids=["c"], known_at=[moment])
    own_gateway.stop(signal.SIGKILL)
    tables = DeltaTables(tmp_path / "tables")
    ship(own_gateway.folder / "records", tables)
    joined = tables.query(
        "select p.prediction_id, o.outcome, o.known_at from p left join o using (prediction_id) "
        "order by 1",
        {
            "p": TableVersion(prediction_table("late")),
            "o": TableVersion(outcome_table("late")),
        },
    )
    assert joined["prediction_id"].tolist() == ["a", "b", "c"]
    assert joined["outcome"].tolist() == [1.0, 0.0, 0.5]
    assert joined["known_at"][0] == np.datetime64("2013-05-01T12:00:00")
    assert joined["known_at"][2] == np.datetime64("2013-05-02")
    tables.close()


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"outcomes": [{"outcome": 1}]},
        {"outcomes": [{"prediction_id": "", "outcome": 1}]},
        {"outcomes": [{"prediction_id": "a", "outcome": "late"}]},
        {"outcomes": [{"prediction_id": "a", "outcome": 1, "known_at": "2013-05-01T12:00:00"}]},
        {"outcomes": [{"prediction_id": "a", "outcome": 1, "speed": 3}]},
    ],
)
def test_reports_that_make_no_sense_are_refused(gateway, body):
    """Nothing is stored of a report with a flaw, such as a moment without its time zone."""
    assert gateway.http.post("/endpoints/late/outcomes", json=body).status_code == 400
    assert gateway.http.post("/endpoints/other/outcomes", json=body).status_code == 404
