"""Sealed segments into the prediction table of each endpoint, exactly once.

The table's own token makes a segment count once, however often shipping dies between the append
and the removal of the file. A prediction whose id the caller gave may stand in two segments,
because a caller who saw no answer asks again: of those, the first per id, role and variant counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mainspring.core.digest import sha256
from mainspring.ports.tables import Tables, TableVersion
from mainspring.serving.segments import (
    RecordBatch,
    read_segment,
    seal_abandoned,
    sealed_segments,
)

_KEY: Final = ("prediction_id", "role", "variant")
# A caller that asks again does so within minutes; its event time is the same, or the receipt.
_AGAIN_WITHIN: Final = np.timedelta64(1, "D")


@dataclass(frozen=True, slots=True)
class Shipped:
    """What one pass moved into the tables."""

    segments: int
    rows: int


def prediction_table(endpoint: str) -> str:
    """The name of an endpoint's prediction table."""
    return f"predictions/{endpoint}"


def ship(folder: Path, tables: Tables) -> Shipped:
    """Moves every sealed segment of a records folder into the tables, and removes it.

    Safe to run again after a crash at any point; two at a time only do the work twice.
    """
    seal_abandoned(folder)
    rows = 0
    paths = sealed_segments(folder)
    for path in paths:
        rows += _ship_segment(path, tables)
        path.unlink(missing_ok=True)
    return Shipped(len(paths), rows)


def _ship_segment(path: Path, tables: Tables) -> int:
    token = f"{path.stem}:{sha256(path.read_bytes())}"
    by_endpoint: dict[str, list[RecordBatch]] = {}
    for batch in read_segment(path):
        by_endpoint.setdefault(batch.layout.endpoint, []).append(batch)
    rows = 0
    for endpoint, batches in by_endpoint.items():
        name = prediction_table(endpoint)
        frame = _first_of_each(stack([batch.frame for batch in batches]))
        count = len(frame["prediction_id"])
        rows += count
        if any(batch.ids_given for batch in batches) and tables.exists(name):
            _append_unseen(tables, name, frame, token)
        else:
            tables.append(name, frame, token=token)
    return rows


def _append_unseen(tables: Tables, name: str, frame: dict[str, NDArray[Any]], token: str) -> None:
    times = frame["event_time"]
    same = " and ".join(f"seen.{column} = new.{column}" for column in _KEY)
    columns = ", ".join(f'new."{column}"' for column in frame)
    tables.append_query(
        name,
        f"select {columns} from new where not exists (select 1 from seen where {same} "
        f"and seen.event_time between {_literal(times.min() - _AGAIN_WITHIN)} "
        f"and {_literal(times.max() + _AGAIN_WITHIN)})",
        {"new": frame, "seen": TableVersion(name)},
        token=token,
    )


def stack(frames: Sequence[dict[str, NDArray[Any]]]) -> dict[str, NDArray[Any]]:
    """The frames one below the other; a column that a frame does not have is null there."""
    kinds = {name: column.dtype for frame in frames for name, column in frame.items()}
    return {
        name: np.concatenate([_column(frame, name, kind) for frame in frames])
        for name, kind in kinds.items()
    }


def _column(frame: dict[str, NDArray[Any]], name: str, kind: np.dtype[Any]) -> NDArray[Any]:
    if name in frame:
        return frame[name]
    rows = len(frame["prediction_id"])
    return np.full(rows, None if kind.kind == "O" else np.nan, dtype=kind)


def _first_of_each(frame: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    seen: set[tuple[Any, ...]] = set()
    keep = []
    for place, key in enumerate(zip(*(frame[name].tolist() for name in _KEY), strict=True)):
        if key not in seen:
            seen.add(key)
            keep.append(place)
    return {name: column[keep] for name, column in frame.items()}


def _literal(moment: np.datetime64) -> str:
    return f"timestamp '{str(moment).replace('T', ' ')}'"
