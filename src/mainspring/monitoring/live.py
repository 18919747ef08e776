"""Live rows: predictions of an endpoint joined with the outcomes known so far.

Tables: ``predictions/ENDPOINT`` is written by serving (one row per prediction and variant);
``outcomes/ENDPOINT`` here (``prediction_id``, ``outcome``, ``known_at``, ``received_at``). An
outcome that is corrected later counts with its newest value known at the moment asked for.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mainspring.core.schema import Signature
from mainspring.ports.tables import Frame, Relation, Tables, TableVersion
from mainspring.serving.shipping import inputs_table, prediction_table

_OUTCOMES: Final = """
known AS (
  SELECT prediction_id, arg_max(outcome, (known_at, received_at)) AS outcome
  FROM outcomes WHERE known_at <= $now GROUP BY prediction_id
)"""
_NO_OUTCOMES: Final = "known AS (SELECT '' AS prediction_id, NULL::DOUBLE AS outcome WHERE FALSE)"


def outcome_table(endpoint: str) -> str:
    """The name of an endpoint's outcome table."""
    return f"outcomes/{endpoint}"


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
    known = _NO_OUTCOMES
    if tables.exists(outcome_table(endpoint)):
        relations["outcomes"] = TableVersion(outcome_table(endpoint))
        known, values["now"] = _OUTCOMES, now
    return tables.query(f"WITH {known} {select}", relations, values)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def known(frame: Frame) -> NDArray[np.bool_]:
    """Which rows of a frame have their outcome."""
    found: NDArray[np.bool_] = ~np.isnan(frame["outcome"].astype(np.float64))
    return found
