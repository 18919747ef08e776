"""Live rows: predictions of an endpoint joined with the outcomes known so far.

Tables: ``predictions/ENDPOINT`` is written by serving (one row per prediction and variant);
``outcomes/ENDPOINT`` (``prediction_id``, ``outcome``, ``known_at``, ``received_at``) and its
``by-entity`` by whoever reports. An outcome that is corrected later counts with its newest value known at the moment asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mainspring.core.schema import Signature
from mainspring.core.time import to_micros
from mainspring.ports.tables import Frame, Relation, Tables, TableVersion
from mainspring.serving.outcomes import entity_outcome_table, outcome_table
from mainspring.serving.shipping import inputs_table, prediction_table

_BY_ID: Final = "SELECT prediction_id, outcome, known_at, received_at FROM outcomes"
# Of an entity: its newest prediction at or before the moment, and only what users got counts.
_BY_ENTITY: Final = """
SELECT p.prediction_id, e.outcome, e.known_at, e.received_at FROM by_entity e ASOF JOIN (
  SELECT DISTINCT entity, event_time, prediction_id FROM predictions
  WHERE role NOT IN ('shadow', 'reference')
) p ON p.entity = e.entity AND p.event_time <= e.known_at"""
_NO_OUTCOMES: Final = "known AS (SELECT '' AS prediction_id, NULL::DOUBLE AS outcome WHERE FALSE)"


def answered(
    tables: Tables,
    endpoint: str,
    start: datetime,
    end: datetime,
    *,
    now: datetime,
    signature: Signature | None = None,
) -> Frame:
    """What users got in [start, end): score, decision, version, outcome (NaN while unknown).

    Ordered by event time and id. With a signature, the recorded inputs of that set under their
    own names; rows that were answered from another set of inputs have nulls there.
    """
    names = [column.name for column in signature.inputs] if signature else []
    relations: dict[str, Relation] = {}
    join = ""
    if signature is not None:
        name = inputs_table(endpoint, signature)
        names = names if tables.exists(name) else []
        if names:
            relations["inputs"] = TableVersion(name)
            join = (
                "LEFT JOIN inputs i ON i.prediction_id = p.prediction_id "
                "AND i.event_time >= $start AND i.event_time < $end "
            )
    columns = "".join(f", i.{_quoted(name)} AS {_quoted(name)}" for name in names)
    return _query(
        tables,
        endpoint,
        f"SELECT p.prediction_id, p.event_time, p.version, p.score, p.decision, k.outcome{columns} "
        f"FROM predictions p LEFT JOIN known k ON k.prediction_id = p.prediction_id {join}"
        "WHERE p.role NOT IN ('shadow', 'reference') AND p.event_time >= $start AND p.event_time < $end "
        "ORDER BY p.event_time, p.prediction_id",
        (start, end, now),
        relations,
    )


def paired(
    tables: Tables,
    endpoint: str,
    variants: tuple[str, str],
    start: datetime,
    end: datetime,
    *,
    now: datetime,
) -> Frame:
    """Rows in [start, end) with an outcome that both variants scored: ``first`` and ``second``.

    It does not matter in which role a variant scored a row: as champion, canary or a copy.
    """
    first, second = (_literal(name) for name in variants)
    return _query(
        tables,
        endpoint,
        "SELECT p.prediction_id, p.event_time, any_value(k.outcome) AS outcome, "
        f"max(p.score) FILTER (WHERE p.version = {first}) AS first, "
        f"max(p.score) FILTER (WHERE p.version = {second}) AS second "
        "FROM predictions p JOIN known k ON k.prediction_id = p.prediction_id "
        "WHERE p.event_time >= $start AND p.event_time < $end AND k.outcome IS NOT NULL "
        f"AND p.version IN ({first}, {second}) GROUP BY p.prediction_id, p.event_time "
        f"HAVING count(DISTINCT p.version) = {1 if first == second else 2} "
        "ORDER BY p.event_time, p.prediction_id",
        (start, end, now),
        {},
    )


def _query(
    tables: Tables,
    endpoint: str,
    select: str,
    moments: tuple[datetime, datetime, datetime],
    relations: dict[str, Relation],
) -> Frame:
    start, end, now = moments
    relations["predictions"] = TableVersion(prediction_table(endpoint))
    values = {"start": start, "end": end}
    known = known_outcomes(tables, endpoint, relations)
    if known != _NO_OUTCOMES:
        values["now"] = now
    return tables.query(f"WITH {known} {select}", relations, values)


def known_outcomes(tables: Tables, endpoint: str, relations: dict[str, Relation]) -> str:
    """The common table ``known`` of outcomes by prediction; its relations are added to those given.

    It reads ``predictions``, and ``$now`` unless there are no outcomes at all.
    """
    found = []
    for name, table, sql in (
        ("outcomes", outcome_table(endpoint), _BY_ID),
        ("by_entity", entity_outcome_table(endpoint), _BY_ENTITY),
    ):
        if tables.exists(table):
            relations[name] = TableVersion(table)
            found.append(sql)
    if not found:
        return _NO_OUTCOMES
    return (
        "known AS (SELECT prediction_id, arg_max(outcome, (known_at, received_at)) AS outcome "
        f"FROM ({' UNION ALL '.join(found)}) WHERE known_at <= $now GROUP BY prediction_id)"
    )


def label_counts(
    tables: Tables, endpoint: str, windows: Sequence[tuple[datetime, datetime]], now: datetime
) -> list[tuple[int, float]]:
    """How many rows of each window have an outcome by now, and what these add up to."""
    if not windows or not tables.exists(prediction_table(endpoint)):
        return [(0, 0.0)] * len(windows)
    relations: dict[str, Relation] = {
        "predictions": TableVersion(prediction_table(endpoint)),
        "windows": {
            "number": np.arange(len(windows)),
            "first": np.array([to_micros(start) for start, _ in windows], np.int64),
            "last": np.array([to_micros(end) for _, end in windows], np.int64),
        },
    }
    known = known_outcomes(tables, endpoint, relations)
    found = tables.query(
        f"WITH {known}, answered AS (SELECT epoch_us(p.event_time) AS at, k.outcome FROM "
        "predictions p JOIN known k ON k.prediction_id = p.prediction_id "
        "WHERE p.role NOT IN ('shadow', 'reference') AND k.outcome IS NOT NULL) "
        "SELECT w.number, count(a.outcome) AS labelled, coalesce(sum(a.outcome), 0.0) AS total "
        "FROM windows w LEFT JOIN answered a ON a.at >= w.first AND a.at < w.last "
        "GROUP BY w.number ORDER BY w.number",
        relations,
        {"now": now} if known != _NO_OUTCOMES else {},
    )
    return list(zip(found["labelled"].tolist(), found["total"].tolist(), strict=True))


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def known(frame: Frame) -> NDArray[np.bool_]:
    """Which rows of a frame have their outcome."""
    found: NDArray[np.bool_] = ~np.isnan(frame["outcome"].astype(np.float64))
    return found
