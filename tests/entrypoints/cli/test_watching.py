"""Windows, alerts, challenges, endpoints and executions, once there are some."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from mainspring._bootstrap.workspace import open_workspace
from mainspring.core.digest import sha256
from mainspring.core.errors import NotFound
from mainspring.improvement.types import Retraining
from mainspring.monitoring.windows import Breach, Drifted, Window
from mainspring.serving.routes import write_routes
from mainspring.serving.traffic import Route, RouteTable, Variant
from mainspring.training.estimate import Estimate

MAY = datetime(2024, 5, 1, tzinfo=UTC)
WEEK = timedelta(days=7)


def estimate(value):
    return Estimate(
        value=value,
        low=value - 0.01,
        high=value + 0.01,
        n=900,
        clusters=7,
        draws=100,
        confidence=0.9,
    )


def window(number):
    start = MAY + number * WEEK
    return Window(
        endpoint="late",
        start=start,
        end=start + WEEK,
        model="late",
        versions=(1,),
        rows=1000,
        labelled=900,
        metrics={"auc": estimate(0.7 - number / 100)},
        references={"frozen": {"auc": estimate(0.6)}},
        drift=(Drifted(name="amount", effect=0.2, significance=0.001, rows=1000, moved=True),),
    )


@pytest.fixture
def watched(project):
    """An endpoint with three windows, an open alert and a challenge under way."""
    with open_workspace(project) as workspace:
        watch = workspace.watch
        for number in range(3):
            breach = Breach(monitor="quality", observed=0.68, wanted="at least 0.69", reason="low")
            workspace.database.write(
                lambda tx, n=number, b=breach: watch.store.save_window(tx, window(n), [b])
            )
        workspace.database.write(
            lambda tx: watch.store.open_alert(tx, "late", breach, severity="page", now=MAY)
        )
        workspace.loop.consider(
            Retraining(on_alerts=("quality",), cooldown="1d"),
            endpoint="late",
            model="late",
            champion=1,
            champion_since=MAY,
            alerts=("quality",),
        )
        route = Route(
            variants=(
                Variant(name="champion", model=sha256(b"1"), version="1"),
                Variant(name="canary", model=sha256(b"2"), version="2", role="canary", share=0.2),
            )
        )
        folder = workspace.folder / "serving"
        folder.mkdir()
        write_routes(folder, RouteTable(revision=3, routes={"late": route}))

        def fails():
            raise NotFound("test.nothing", "There was nothing.")

        with pytest.raises(NotFound):
            workspace.executions.run("train", fails)
    return project


def test_windows_newest_last_and_one_by_its_start(watched, cli):
    """Monitor ls lists windows in order; show takes the newest, or the one named by its start."""
    windows = cli("monitor", "ls", "late", "--json").document["windows"]
    assert [one["start"][:10] for one in windows] == ["2024-05-01", "2024-05-08", "2024-05-15"]
    assert len(cli("monitor", "ls", "late", "--limit", "1", "--json").document["windows"]) == 1
    assert cli("monitor", "show", "late", "--json").document["start"] == "2024-05-15T00:00:00Z"
    older = cli("monitor", "show", "late", "--start", "2024-05-08", "--json").document
    assert older["metrics"]["auc"]["value"] == 0.69
    assert cli("monitor", "show", "late", "--start", "2024-06-01").code == 3
    text = cli("monitor", "show", "late").out
    assert "amount" in text
    assert "frozen" in text


def test_an_alert_is_listed_and_acknowledged_once(watched, cli):
    """Alerts ls shows the open one; ack marks it; a number that is none is exit code 3."""
    alert = cli("alerts", "ls", "--json").document["alerts"][0]
    assert (alert["monitor"], alert["state"]) == ("quality", "open")
    acked = cli("alerts", "ack", str(alert["id"]), "--json").document["alert"]
    assert acked["state"] == "acknowledged"
    assert "quality" in cli("alerts", "ls").out
    assert cli("alerts", "ack", "77").code == 3


def test_the_challenge_under_way_is_shown(watched, cli):
    """Loop show tells the state, the trigger and the history."""
    found = cli("loop", "show", "late", "--json").document
    assert found["current"]["trigger"] == "alert:quality"
    assert found["challenges"][0]["state"] == "requested"
    assert "alert:quality" in cli("loop", "show", "late").out


def test_endpoints_are_read_without_a_gateway(watched, cli):
    """While the gateway is down its stored routes are shown, and doctor warns of it."""
    found = cli("endpoints", "ls", "--json").document
    assert found["gateway"] is None
    assert found["endpoints"]["late"]["variants"][1]["share"] == 0.2
    assert "20%" in cli("endpoints", "show", "late").out
    assert cli("endpoints", "show", "lat").code == 3
    findings = {one["subject"]: one for one in cli("doctor", "--json").document["findings"]}
    assert findings["gateway"]["severity"] == "warning"


def test_a_failed_execution_tells_why(watched, cli):
    """Executions show names the error, also by the beginning of the id."""
    found = cli("executions", "ls", "--json").document["executions"]
    assert [one["state"] for one in found] == ["failed"]
    shown = cli("executions", "show", found[0]["id"][:20])
    assert shown.code == 0
    assert "There was nothing." in shown.out
