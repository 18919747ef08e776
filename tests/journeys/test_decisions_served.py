"""From an entity to a decision through a real gateway: features published, looked up, decided."""

from __future__ import annotations

import csv
import json
import urllib.error
import urllib.request
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from mainspring._bootstrap.workspace import open_workspace
from mainspring.core.digest import canonical_json
from mainspring.serving import GatewayControl, Route, Variant
from mainspring.serving.policy import POLICY_FILE, Capacity, CostPerRow
from tests.journeys import orders
from tests.journeys.newcomer import gateway, read_csv

# Rows are asked about with what is known of them; their features by country are looked up.
KNOWN = ("country", "amount", "items")


class Served:
    """The gateway of a trained project, and what a test needs to ask it."""

    def __init__(self, folder, url, type_in):
        self.folder, self.url, self.type_in = folder, url, type_in
        self.control = GatewayControl(folder / ".mainspring" / "serving")

    def post(self, path, document):
        body = json.dumps(document).encode()
        request = urllib.request.Request(
            f"{self.url}{path}", body, {"Content-Type": "application/json"}
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                return response.status, json.load(response)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)

    def decide(self, rows, endpoint="returns", **more):
        status, said = self.post(f"/endpoints/{endpoint}/decisions", {"rows": rows, **more})
        assert status == 200, said
        return said

    def deploy_with(self, endpoint, policy):
        """The trained model under another name, released with another policy."""
        champion = self.control.routes().route("returns").champion
        with open_workspace(self.folder) as workspace:
            put, get = workspace.objects.put, workspace.objects.get
            manifest = msgspec.json.decode(get(champion.model))
            manifest["files"][POLICY_FILE] = put(canonical_json(policy))
            model = put(msgspec.json.encode(manifest))
        variant = Variant(name="champion", model=model, version=champion.version)
        self.control.deploy(endpoint, Route(variants=(variant,)))


def rows_of(count, at):
    return [
        {
            "order_id": f"new{n}",
            "ordered_at": at.isoformat().replace("+00:00", "Z"),
            "country": ("de", "it", "no")[n % 3],
            "amount": 10.0 + 17 * n,
            "items": 1 + n % 8,
        }
        for n in range(count)
    ]


@pytest.fixture
def served(type_in, monkeypatch, tmp_path):
    """Orders of the last weeks, trained, published and live."""
    now = datetime.now(UTC).replace(microsecond=0)
    monkeypatch.setattr(orders, "BEGIN", now - timedelta(days=orders.DAYS))
    monkeypatch.setattr(orders, "PER_DAY", 20)
    folder = orders.write_project(tmp_path / "shop")
    monkeypatch.chdir(folder)
    for words in (("data", "ingest"), ("run", "train"), ("models", "promote", "returns/1")):
        done = type_in(*words)
        assert done.code in {0, 1}, done.err  # gates may say no: a person promotes
    assert type_in("endpoints", "deploy", "returns/1", "--endpoint", "returns").code == 0
    with gateway(folder) as url:
        running = Served(folder, url, type_in)
        yield running
        running.control.close()


@pytest.mark.slow
def test_entities_become_decisions(served, tmp_path):
    """Nothing before features are published; then the scores of offline prediction, to the bit,
    with version, decision, reasons and freshness; and every policy decides by its own rule.
    """
    at = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=1)
    rows = rows_of(24, at)
    status, said = served.post("/endpoints/returns/decisions", {"rows": rows})
    assert (status, said["code"]) == (404, "features.not_materialized")
    assert served.type_in("features", "materialize").code == 0

    answer = served.decide(rows, ids=[row["order_id"] for row in rows], explain=True)
    predictions = answer["predictions"]
    assert [one["id"] for one in predictions] == [row["order_id"] for row in rows]
    assert {(one["version"], one["variant"], one["role"]) for one in predictions} == {
        ("1", "champion", "champion")
    }
    assert set(answer["freshness_seconds"]) == {"by_country"}
    assert 0 <= answer["freshness_seconds"]["by_country"] < 600
    _check_offline(served, rows, predictions)
    _check_reasons(predictions)
    _check_policies(served, rows, predictions)
    _check_errors(served)


def _check_offline(served, rows, predictions):
    with (served.folder / "new.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    offline = served.type_in("predict", "returns/1", "--input", "new.csv")
    assert offline.code == 0, offline.err
    told = {row["order_id"]: row for row in read_csv(offline.out)}
    assert [float(told[row["order_id"]]["score"]) for row in rows] == [
        one["score"] for one in predictions
    ]
    assert [told[row["order_id"]]["decision"] == "true" for row in rows] == [
        one["decision"] for one in predictions
    ]


def _check_reasons(predictions):
    """What each input added, with what was looked up among it: more than one value of it."""
    told = [one["explanation"] for one in predictions]
    assert {"country", "amount", "items"} <= set(told[0]["contributions"])
    assert any("by_country" in name for name in told[0]["contributions"])
    raw = [one["base"] + sum(one["contributions"].values()) for one in told]
    order = sorted(range(len(raw)), key=lambda n: raw[n])
    scores = [predictions[n]["score"] for n in order]
    assert scores == sorted(scores)


def _check_policies(served, rows, predictions):
    scores = [one["score"] for one in predictions]
    served.deploy_with("dear", CostPerRow(column="cost", false_positive=10.0))
    for cost, wanted in ((1e9, [True] * len(rows)), (0.0, [False] * len(rows))):
        found = served.decide([{**row, "cost": cost} for row in rows], "dear")["predictions"]
        assert [one["score"] for one in found] == scores
        assert [one["decision"] for one in found] == wanted
    costs = [5.0 + 3 * n for n in range(len(rows))]
    found = served.decide(
        [{**row, "cost": cost} for row, cost in zip(rows, costs, strict=True)], "dear"
    )["predictions"]
    assert [one["decision"] for one in found] == [
        (1 - score) * 10.0 <= score * cost for score, cost in zip(scores, costs, strict=True)
    ]
    served.deploy_with("capped", Capacity(threshold=0.0, most=5, window_micros=10**18))
    found = served.decide(rows, "capped")["predictions"]
    chosen = [n for n, one in enumerate(found) if one["decision"]]
    best = sorted(range(len(rows)), key=lambda n: -scores[n])[:5]
    assert sorted(scores[n] for n in chosen) == sorted(scores[n] for n in best)
    assert not any(one["decision"] for one in served.decide(rows, "capped")["predictions"])


def _check_errors(served):
    """Each in words that tell what to send."""
    row = rows_of(1, datetime.now(UTC))[0]
    cases = [
        ({"rows": [{**row, "amount": "much"}]}, "returns"),
        ({"rows": [{"amount": 1.0}]}, "returns"),
        ({"rows": [row]}, "dear"),
        ({"rows": []}, "returns"),
        ({"rows": [row], "ids": ["a", "b"]}, "returns"),
    ]
    for document, endpoint in cases:
        status, said = served.post(f"/endpoints/{endpoint}/decisions", document)
        assert status == 400, (document, said)
        assert said["hint"]
