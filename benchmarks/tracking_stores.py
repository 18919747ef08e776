"""Stores of many runs, written straight into the tables of each server."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from random import Random

START = 1_700_000_000_000
Shape = tuple[int, int, int, int]  # params, those of them with one of ten values, metrics, tags
WIDE: Shape = (20, 10, 10, 4)
NARROW: Shape = (4, 4, 2, 1)  # for a million runs: what the search asks for, and little else
_CHUNK = 10_000
_INDEXES = ("run_terms_by_value", "latest_by_value", "runs_newest", "runs_by_name")


def rows(
    runs: int, shape: Shape
) -> Iterator[tuple[int, dict[str, str], dict[str, float], dict[str, str]]]:
    """Number, params, metrics and tags of each run; the same for every server."""
    random = Random(0)
    params, few, metrics, tags = shape
    for i in range(runs):
        yield (
            i,
            {
                f"param_{j:02d}": str(random.randrange(10)) if j < few else f"v{i}_{j}"
                for j in range(params)
            },
            {f"metric_{j}": random.random() for j in range(metrics)},
            {f"tag_{j}": f"t{i % 50}" for j in range(tags)},
        )


def fill_ours(folder: Path, runs: int, shape: Shape = WIDE) -> None:
    """Our tables. Their indexes are made at the end: a million runs take half a minute so."""
    database = sqlite3.connect(next(folder.rglob("mainspring.db")))
    database.execute("PRAGMA synchronous = OFF")
    made = dict(database.execute("SELECT name, sql FROM sqlite_master WHERE type = 'index'"))
    for name in _INDEXES:
        database.execute(f"DROP INDEX {name}")
    params, _, metrics, tags = shape
    names = [f"p:param_{j:02d}" for j in range(params)]
    names += [f"m:metric_{j}" for j in range(metrics)] + [f"t:tag_{j}" for j in range(tags)]
    database.executemany("INSERT INTO fields (name) VALUES (?)", [(name,) for name in names])
    ids = dict(database.execute("SELECT name, id FROM fields"))
    found, terms, latest = [], [], []
    for i, some_params, some_metrics, some_tags in rows(runs, shape):
        number, start = i + 1, START + i
        document = json.dumps({"params": some_params, "tags": some_tags})
        found.append((number, f"{i:032x}", f"run{i}", start, document))
        pairs = [(f"p:{key}", value) for key, value in some_params.items()]
        pairs += [(f"t:{key}", value) for key, value in some_tags.items()]
        terms += sorted((number, ids[key], 0, value) for key, value in pairs)
        latest += [
            (number, ids[f"m:{key}"], start, value, start) for key, value in some_metrics.items()
        ]
        if len(found) == _CHUNK or number == runs:
            database.executemany(
                "INSERT INTO runs (id, uuid, experiment, shelf, name, user_id, status, start_ms, "
                "artifact_uri, document) VALUES (?,?,0,0,?,'','FINISHED',?,'x',?)",
                found,
            )
            database.executemany("INSERT INTO run_terms VALUES (?,?,?,?)", terms)
            database.executemany("INSERT INTO latest VALUES (?,?,0,?,?,0,0,?)", latest)
            found, terms, latest = [], [], []
    for name in _INDEXES:
        database.execute(made[name])
    database.commit()
    database.close()


def fill_mlflow(folder: Path, runs: int) -> None:
    """MLflow's tables."""
    database = sqlite3.connect(folder / "mlflow.db")
    for i, params, metrics, tags in rows(runs, WIDE):
        run, start = f"{i:032x}", START + i
        database.execute(
            "INSERT INTO runs (run_uuid, name, source_type, source_name, entry_point_name, user_id, "
            "status, start_time, source_version, lifecycle_stage, artifact_uri, experiment_id) "
            "VALUES (?,?,'UNKNOWN','','','','FINISHED',?,'','active','x',0)",
            (run, f"run{i}", start),
        )
        for table, pairs in (("params", params), ("tags", tags)):
            database.executemany(
                f"INSERT INTO {table} (key, value, run_uuid) VALUES (?,?,?)",
                [(key, value, run) for key, value in pairs.items()],
            )
        database.executemany(
            "INSERT INTO latest_metrics (key, value, timestamp, step, is_nan, run_uuid) "
            "VALUES (?,?,?,0,0,?)",
            [(key, value, start, run) for key, value in metrics.items()],
        )
    database.commit()
    database.close()
