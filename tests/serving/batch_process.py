"""Scores the table ``flights`` of FOLDER with a linear model; killed after PART parts (0: never)."""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
from pathlib import Path

import msgspec

from mainspring._adapters.delta.tables import DeltaTables
from mainspring._adapters.linear.runtime import LinearRuntime
from mainspring.core.digest import canonical_json
from mainspring.core.schema import InputColumn, Signature
from mainspring.ports.tables import TableVersion
from mainspring.registry.manifest import Manifest
from mainspring.serving.batch import BatchJob, part_rows, score_table
from mainspring.serving.model import load_model
from mainspring.testing.objects import MemoryObjects

NAMES = [f"x{n}" for n in range(8)]


def model():
    objects = MemoryObjects()
    content = {
        "version": 1,
        "link": "identity",
        "intercept": 0.0,
        "numbers": {name: {"weight": 1.0, "missing_weight": 0.0} for name in NAMES},
    }
    manifest = Manifest(
        name="m",
        task="regression",
        runtime="linear",
        signature=Signature(tuple(InputColumn(name, "number") for name in NAMES), "value"),
        files={"linear.json": objects.put(msgspec.json.encode(content))},
    )
    digest = objects.put(canonical_json(manifest))
    return load_model(digest, objects.get, {"linear": LinearRuntime()})


def main() -> None:
    folder, die_after, rows = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    tables = DeltaTables(
        Path(folder), memory_bytes=150_000_000, threads=1, spill=Path(folder) / "spill"
    )
    job = BatchJob(
        TableVersion("flights"), "scored", ("id",), "1", rows_per_part=rows or part_rows(len(NAMES))
    )
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    fresh = 0

    def report(progress):
        nonlocal fresh
        fresh += progress.rows > 0
        if die_after and fresh == die_after:
            os.kill(os.getpid(), signal.SIGKILL)

    done = score_table(tables, job, [model()], report=report)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    sys.stdout.write(json.dumps({"rows": done.rows, "before": before, "peak": peak}))


if __name__ == "__main__":
    main()
