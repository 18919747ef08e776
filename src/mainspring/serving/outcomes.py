"""What became of predictions: into one table per endpoint, each report once however often it comes.

An outcome names its prediction, or its entity: then it is of the entity's newest prediction at or
before the moment it became known (or ``at``), which is found when outcomes are read, so that it
may come before the prediction's own record.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from mainspring.ports.tables import Relation, Tables, TableVersion

_COLUMNS: Final = ("outcome", "known_at", "received_at")


def outcome_table(endpoint: str) -> str:
    """The name of the table with what became of an endpoint's predictions.

    An outcome that is corrected later is one more row; readers take the newest they may know.
    """
    return f"outcomes/{endpoint}"


def entity_outcome_table(endpoint: str) -> str:
    """The name of the table with outcomes that name an entity instead of a prediction."""
    return f"outcomes/{endpoint}/by-entity"


@dataclass(frozen=True, slots=True)
class Reports:
    """Rows that report outcomes, and the SQL of each part of a report over them.

    ``key`` gives the prediction's id, or the entity's key when ``by_entity``.
    """

    rows: Relation
    key: str
    outcome: str = "outcome"
    known_at: str = "known_at"
    received_at: str = "received_at"
    by_entity: bool = False


def store_outcomes(
    tables: Tables,
    endpoint: str,
    reports: Reports,
    *,
    token: str,
    values: Mapping[str, Any] | None = None,
) -> int:
    """The table's version with the reports that it did not have: same key, outcome and moment.

    ``values`` stand for ``$name`` in the SQL. Errors: those of the tables.
    """
    sql, relations = _unseen(tables, endpoint, reports, values)
    return tables.append_query(table_of(endpoint, reports), sql, relations, token=token)


def count_unseen(tables: Tables, endpoint: str, reports: Reports) -> int:
    """How many of the reports the table does not have yet."""
    sql, relations = _unseen(tables, endpoint, reports, None)
    return int(tables.query(f"SELECT count(*) AS n FROM ({sql})", relations)["n"][0])


def table_of(endpoint: str, reports: Reports) -> str:
    """The table that reports of a kind go to."""
    return (entity_outcome_table if reports.by_entity else outcome_table)(endpoint)


def _unseen(
    tables: Tables, endpoint: str, reports: Reports, values: Mapping[str, Any] | None
) -> tuple[str, dict[str, Relation]]:
    """The query of the reports that the table does not have, and its relations."""
    name = table_of(endpoint, reports)
    key = "entity" if reports.by_entity else "prediction_id"
    relations: dict[str, Relation] = {"reported": reports.rows}
    unseen = ""
    if tables.exists(name):
        relations["seen"] = TableVersion(name)
        unseen = (
            f" AND NOT EXISTS (SELECT 1 FROM seen s WHERE s.{key} = r.{key} "
            "AND s.outcome = r.outcome AND s.known_at = r.known_at)"
        )
    sql = (
        f"SELECT {key}, {', '.join(_COLUMNS)} FROM (SELECT *, row_number() OVER "
        f"(PARTITION BY {key}, outcome, known_at ORDER BY received_at) AS _again FROM ("
        f"SELECT {_literal(reports, values)} FROM reported)) r WHERE r._again = 1 "
        f"AND r.{key} IS NOT NULL AND r.outcome IS NOT NULL AND r.known_at IS NOT NULL{unseen}"
    )
    return sql, relations


def _literal(reports: Reports, values: Mapping[str, Any] | None) -> str:
    key = "entity" if reports.by_entity else "prediction_id"
    parts = {
        key: f"CAST({reports.key} AS VARCHAR)",
        "outcome": f"CAST({reports.outcome} AS DOUBLE)",
        "known_at": f"CAST({reports.known_at} AS TIMESTAMP)",
        "received_at": f"CAST({reports.received_at} AS TIMESTAMP)",
    }
    text = ", ".join(f"{sql} AS {name}" for name, sql in parts.items())
    for name, value in (values or {}).items():
        text = text.replace(f"${name}", "'" + str(value).replace("'", "''") + "'")
    return text
