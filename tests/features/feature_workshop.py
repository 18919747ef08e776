"""Trips, weather and places, small enough to count by hand, and features built of them."""

from __future__ import annotations

import json
import math

from mainspring._adapters.sql.data import SqlDatasetStore
from mainspring._adapters.sql.features import SqlFeatureStore
from mainspring.data import Dataset, Datasets, Source
from mainspring.features import FeatureViews
from mainspring.problem.types import Problem

TRIPS = Dataset(
    source="trips",
    key=("id",),
    time="leaves",
    known_at="left",
    known_ahead=("place", "size", "line"),
)
WEATHER = Dataset(source="weather", key=("place", "seen"), time="seen", known_at="told")
PLACES = Dataset(source="places", key=("code",))
PROBLEM = Problem(
    objective="o",
    questions=("q",),
    task="binary",
    dataset="trips",
    target="late",
    target_sql="late > 5",
    predict_before="2h",
    label_known_at="landed",
    groups=("line",),
)
TYPES = {
    "trips": "id,place,line,size,leaves,left,landed,late",
    "weather": "place,seen,told,wind,rank",
    "places": "code,runways",
}


class Workshop:
    """Puts rows into datasets and builds features of them."""

    specs = {"trips": TRIPS, "weather": WEATHER, "places": PLACES}
    problem = PROBLEM

    def __init__(self, ports, folder):
        self.ports = ports
        self.folder = folder
        self.datasets = Datasets(ports.database, ports.tables, SqlDatasetStore(), ports.clock)
        self.views = FeatureViews(
            ports.database, ports.tables, self.datasets, SqlFeatureStore(), ports.clock
        )

    def put(self, name, rows, spec=None):
        """One version with these rows (dicts); typed as JSON is, moments as text with a Z."""
        columns = TYPES[name].split(",")
        (self.folder / f"{name}.json").write_text(
            "\n".join(json.dumps({column: row.get(column) for column in columns}) for row in rows)
        )
        self.datasets.ingest(
            name,
            spec or self.specs[name],
            sources={name: Source(path=f"{name}.json")},
            folder=self.folder,
        )

    def features(self, definition, problem=None, **bounds):
        """Rows of a build by key: column -> value; NaN as None."""
        build = self.views.build(definition, problem or self.problem, **bounds)
        return by_key(self.views.rows(build))


def by_key(frame):
    plain = {
        name: [
            None if isinstance(value, float) and math.isnan(value) else value
            for value in column.tolist()
        ]
        for name, column in frame.items()
    }
    return {
        key: {name: column[index] for name, column in plain.items()}
        for index, key in enumerate(plain["row_key"])
    }


def at(hour, minute=0, day=10):
    """A moment of January 2024 as text."""
    return f"2024-01-{day:02d}T{hour:02d}:{minute:02d}:00Z"


def trip(key, leaves, left=None, late=None, **more):
    """A trip from place A; it landed when told so."""
    return {
        "id": key,
        "place": "A",
        "line": "x",
        "size": 1,
        "leaves": leaves,
        "left": left,
        "landed": None,
        "late": late,
        **more,
    }


ASKING = trip("me", at(12), left=at(12, 30), landed=at(13), late=9)  # its T is 10:00
