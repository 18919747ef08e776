"""A small project with a year of orders in miniature, whose world changes half way."""

from __future__ import annotations

import csv
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

BEGIN = datetime(2021, 1, 1, tzinfo=UTC)
DAYS = 84
PER_DAY = 90
TOML = """
[project]
name = "orders"
description = "Orders that come back"

[problem]
objective = "Fewer parcels travel twice."
questions = ["Will this order be returned?"]
task = "binary"
dataset = "orders"
target = "returned"
predict_before = "1h"
label_known_at = "closed_at"
groups = ["country"]

[problem.costs]
false_negative = 3.0
false_positive = 1.0

[[problem.metrics]]
name = "auc"
at_least = 0.6

[sources.orders]
path = "orders.csv"

[datasets.orders]
source = "orders"
key = ["order_id"]
time = "ordered_at"
period = "month"
known_ahead = ["country", "amount", "items"]

[[datasets.orders.expect]]
check = "in_range"
column = "amount"
min = 0
severity = "quarantine"

[training]
features = "features.py:features"
learner = "gradient_boosting"
baseline = "logistic"
calibration = "sigmoid"
bootstrap = 100
seed = 7

[training.parameters]
rounds = 20
min_data_in_leaf = 50

[training.split]
method = "time"
validation = "7d"
test = "7d"

[[gates]]
name = "beats-constant"
beats = "constant"

[endpoint]
name = "returns"

[monitoring]
window = "7d"

[monitoring.monitors.auc-drop]
watch = "performance"
metric = "auc"
drop = 0.05
min_rows = 100

[monitoring.monitors.inputs-moved]
watch = "drift"

[retraining]
on_alerts = ["auc-drop"]
every = "14d"
cooldown = "7d"

[comparison]
metric = "auc"
holdout = "7d"
confidence = 0.8

[release]
shadow = "2d"
worse_by = 0.05
min_rows = 50

[[release.canary]]
share = 0.5
hold = "2d"

[replay]
history_until = "2021-02-01"
until = "2021-03-22"
"""
FEATURES = """
import mainspring as ms

features = ms.feature_set(
    ms.row("order", {"country": "country", "amount": "amount", "items": "items"}),
    ms.rolling(
        "by_country",
        dataset="orders",
        keys=["country"],
        measures={"returned": ms.mean("returned")},
        windows=["7d"],
        known_at="closed_at",
    ),
    categories=["country"],
    name="returns",
)
"""


def write_project(folder: Path) -> Path:
    """The project in a folder: TOML, features and a CSV with one bad row."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "mainspring.toml").write_text(TOML)
    (folder / "features.py").write_text(FEATURES)
    draw = np.random.default_rng(3)
    with (folder / "orders.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(
            ["order_id", "ordered_at", "closed_at", "country", "amount", "items", "returned"]
        )
        for day in range(DAYS):
            for number in range(PER_DAY):
                writer.writerow(_order(day, number, draw))
        writer.writerow(["bad", _iso(BEGIN), _iso(BEGIN), "it", -5.0, 1, 0])
    return folder


def _order(day: int, number: int, draw: np.random.Generator) -> list[object]:
    at = BEGIN + timedelta(days=day, seconds=int(draw.integers(0, 86_400)))
    country = str(draw.choice(["de", "it", "no"]))
    amount, items = round(float(draw.lognormal(3.5, 0.6)), 2), int(draw.integers(1, 9))
    # From day 45 on the many items, not the high amounts, are what comes back.
    signal = (amount - 35) / 25 if day < 45 else (items - 4.5) / 1.6
    odds = -1.0 + 1.4 * signal + 0.4 * (country == "it")
    returned = int(draw.random() < 1 / (1 + np.exp(-odds)))
    closed = at + timedelta(hours=int(draw.integers(2, 40)))
    return [f"o{day:03d}-{number:03d}", _iso(at), _iso(closed), country, amount, items, returned]


def _iso(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")
