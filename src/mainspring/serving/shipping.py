"""Sealed segments into the tables of each endpoint, exactly once.

Two kinds of tables: ``predictions/ENDPOINT`` holds what was answered, in the same columns for
ever; ``predictions/ENDPOINT/inputs-DIGEST`` holds what was asked, one table per set of inputs,
because models come and go with their features. ``prediction_id`` joins them; and, with
``outcomes/ENDPOINT``, what became of them.

A table's own token makes a segment count once, however often shipping dies between the append and
the removal of the file. A prediction whose id the caller gave may stand in two segments, because
a caller who saw no answer asks again: of those, the first per id, role and variant counts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mainspring.core.digest import digest_of, sha256
from mainspring.core.schema import Signature
from mainspring.ports.tables import Tables, TableVersion
from mainspring.serving.outcomes import Reports, store_outcomes
from mainspring.serving.records import Layout, outcomes_frame, read_outcomes
from mainspring.serving.segments import (
    RecordBatch,
    read_segment,
    seal_abandoned,
    sealed_segments,
)

Columns = dict[str, NDArray[Any]]
_ANSWER_KEY: Final = ("prediction_id", "role", "variant")
_INPUT_KEY: Final = ("prediction_id",)
# A caller that asks again does so within minutes, and names the same event time or none.
_AGAIN_WITHIN: Final = np.timedelta64(1, "D")


@dataclass(frozen=True, slots=True)
class Shipped:
    """What one pass moved into the tables; ``rows`` counts answers."""

    segments: int
    rows: int


def prediction_table(endpoint: str) -> str:
    """The name of the table with an endpoint's answers."""
    return f"predictions/{endpoint}"


def inputs_table(endpoint: str, signature: Signature) -> str:
    """The name of the table with the inputs of an endpoint's predictions by such a model."""
    return _inputs_table(
        endpoint,
        tuple(column.name for column in signature.inputs if column.type == "number"),
        tuple(column.name for column in signature.inputs if column.type == "category"),
    )


def ship(folder: Path, tables: Tables) -> Shipped:
    """Moves every sealed segment of a records folder into the tables, and removes it.

    Segments whose writer died are sealed first. Safe to run again after a crash at any point; two
    at a time only do the work twice.
    """
    seal_abandoned(folder)
    rows = 0
    paths = sealed_segments(folder)
    for path in paths:
        rows += _ship_segment(path, tables)
        path.unlink(missing_ok=True)
    return Shipped(len(paths), rows)


def _ship_segment(path: Path, tables: Tables) -> int:
    try:
        data, batches = path.read_bytes(), list(read_segment(path))
    except FileNotFoundError:  # somebody else has shipped it since we looked
        return 0
    token = f"{path.stem}:{sha256(data)}"
    for name, some in _by(batches, _inputs_of).items():
        if name is not None:
            _append(tables, name, _Shipment(some, [b.inputs() for b in some], _INPUT_KEY), token)
    rows = 0
    for name, some in _by(batches, lambda layout: prediction_table(layout.endpoint)).items():
        shipment = _Shipment(some, [b.answers() for b in some], _ANSWER_KEY)
        rows += _append(tables, name, shipment, token)
    _ship_outcomes(tables, data, token)
    return rows


def _ship_outcomes(tables: Tables, data: bytes, token: str) -> None:
    groups: dict[tuple[str, bool], list[Columns]] = {}
    for reported in read_outcomes(data):
        where = (reported.endpoint, reported.by_entity)
        groups.setdefault(where, []).append(outcomes_frame(reported))
    for (endpoint, by_entity), frames in groups.items():
        frame = {name: np.concatenate([f[name] for f in frames]) for name in frames[0]}
        reports = Reports(frame, key="prediction_id", by_entity=by_entity)
        store_outcomes(tables, endpoint, reports, token=token)


@dataclass(frozen=True, slots=True)
class _Shipment:
    batches: Sequence[RecordBatch]
    frames: Sequence[Columns]
    key: Sequence[str]


def _append(tables: Tables, name: str, shipment: _Shipment, token: str) -> int:
    frame = {
        column: np.concatenate([frame[column] for frame in shipment.frames])
        for column in shipment.frames[0]
    }
    if not any(batch.rows.ids_given for batch in shipment.batches):
        tables.append(name, frame, token=token)
        return len(frame["prediction_id"])
    frame = _first_of_each(frame, shipment.key)
    if tables.exists(name):
        _append_unseen(tables, name, frame, (shipment.key, token))
    else:
        tables.append(name, frame, token=token)
    return len(frame["prediction_id"])


def _append_unseen(
    tables: Tables, name: str, frame: Columns, key_and_token: tuple[Sequence[str], str]
) -> None:
    key, token = key_and_token
    times = frame["event_time"]
    same = " and ".join(f"seen.{column} = fresh.{column}" for column in key)
    columns = ", ".join('fresh."' + column.replace('"', '""') + '"' for column in frame)
    # The bounds let the engine skip files: events of a segment lie close together.
    tables.append_query(
        name,
        f"select {columns} from fresh where not exists (select 1 from seen where {same} "
        f"and seen.event_time between {_literal(times.min() - _AGAIN_WITHIN)} "
        f"and {_literal(times.max() + _AGAIN_WITHIN)})",
        {"fresh": frame, "seen": TableVersion(name)},
        token=token,
    )


def _by(
    batches: Sequence[RecordBatch], name_of: Callable[[Layout], str | None]
) -> dict[Any, list[RecordBatch]]:
    groups: dict[Any, list[RecordBatch]] = {}
    for batch in batches:
        groups.setdefault(name_of(batch.layout), []).append(batch)
    return groups


def _inputs_of(layout: Layout) -> str | None:
    if not layout.numbers and not layout.texts:
        return None
    return _inputs_table(layout.endpoint, layout.numbers, layout.texts)


def _inputs_table(endpoint: str, numbers: Sequence[str], texts: Sequence[str]) -> str:
    digest = digest_of([sorted(numbers), sorted(texts)]).removeprefix("sha256:")
    return f"{prediction_table(endpoint)}/inputs-{digest[:12]}"


def _first_of_each(frame: Columns, key: Sequence[str]) -> Columns:
    seen: set[tuple[Any, ...]] = set()
    keep = []
    for place, values in enumerate(zip(*(frame[name].tolist() for name in key), strict=True)):
        if values not in seen:
            seen.add(values)
            keep.append(place)
    return {name: column[keep] for name, column in frame.items()}


def _literal(moment: np.datetime64) -> str:
    return f"timestamp '{str(moment).replace('T', ' ')}'"
