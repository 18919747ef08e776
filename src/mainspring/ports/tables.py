"""Versioned tables and SQL over them: datasets, features, predictions.

Rows travel as :data:`Frame`, columns by name as numpy arrays of one length. Types on the way:
integers ``int64``, numbers ``float64`` (null is NaN), booleans ``bool``, strings ``object`` of
``str`` (null is None), timestamps ``datetime64[us]`` in UTC (null is NaT). An integer or boolean
column with nulls arrives as ``float64``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from mainspring.core.schema import Schema

if TYPE_CHECKING:
    import numpy as np

    Frame = Mapping[str, np.ndarray[Any, Any]]
else:
    Frame = Mapping


class TableVersion(msgspec.Struct, frozen=True):
    """A table at one version; the newest when ``version`` is None."""

    name: str
    version: int | None = None


class File(msgspec.Struct, frozen=True):
    """A file (or glob) outside the store, read as text or Parquet by the query engine."""

    path: str
    format: str = "csv"
    options: dict[str, Any] = {}


class Commit(msgspec.Struct, frozen=True):
    """One version in a table's history."""

    version: int
    time_micros: int
    operation: str
    rows: int | None
    token: str | None


Relation = TableVersion | File | Frame


class Tables(Protocol):
    """Tables whose every committed version stays readable until it is vacuumed.

    Names are lower-case words, optionally in folders (``predictions/late``). A write is one
    atomic commit. ``token`` makes it exactly-once: a write whose token the table has already seen
    changes nothing and returns the version of the first.
    Errors: ``tables.not_found``, ``tables.version_gone``, ``tables.conflict``, ``tables.full``,
    ``tables.bad_query`` (with the engine's own words), ``tables.schema_mismatch``.
    """

    def exists(self, name: str) -> bool:
        """Whether the table has any version."""
        ...

    def version(self, name: str) -> int:
        """The newest version's number."""
        ...

    def schema(self, table: TableVersion) -> Schema:
        """The columns of a version."""
        ...

    def history(self, name: str) -> list[Commit]:
        """Every version still known, oldest first."""
        ...

    def append(
        self,
        name: str,
        rows: Relation,
        *,
        token: str | None = None,
        replace_where: str | None = None,
    ) -> int:
        """The new version with the rows added; with ``replace_where`` they replace those matching.

        The table is made by its first append. ``rows`` are streamed: memory does not grow with
        their number when they come from a table or a file.
        """
        ...

    def append_query(
        self,
        name: str,
        sql: str,
        relations: Mapping[str, Relation],
        *,
        token: str | None = None,
        replace_where: str | None = None,
    ) -> int:
        """Like :meth:`append`, with the rows a query gives, without passing them through Python."""
        ...

    def query(
        self, sql: str, relations: Mapping[str, Relation], values: Mapping[str, Any] | None = None
    ) -> Frame:
        """The rows of a query over named relations; ``$name`` in the SQL takes a value.

        Security: the query sees the named relations and nothing else: no file, no network, no
        extension, no setting.
        """
        ...

    def delete_where(self, name: str, condition: str) -> int:
        """A new version without the matching rows (older versions keep them until vacuumed)."""
        ...

    def compact(self, name: str) -> int:
        """A new version with small files merged; same rows."""
        ...

    def vacuum(self, name: str, keep: frozenset[int]) -> int:
        """Frees the files that neither the newest version nor any of ``keep`` needs; how many."""
        ...

    def drop(self, name: str) -> None:
        """Removes a table and all its versions."""
        ...
