"""The tables port on Delta Lake: delta-rs commits, DuckDB reads and computes.

Every moment is stored as Delta's ``timestamp`` (an instant, UTC microseconds) and is
``TIMESTAMP WITH TIME ZONE`` in SQL, in a session whose zone is UTC. Conditions
(``replace_where``, ``delete_where``) compare columns with constants: ``day >= '2013-05-01' AND
origin IN ('JFK', 'LGA')``.
"""

from __future__ import annotations

import re
import shutil
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

import duckdb
from deltalake import DeltaTable, write_deltalake

from mainspring._adapters.delta import log, outside, power, relations, trouble
from mainspring._adapters.delta.engine import Engine
from mainspring._adapters.delta.frames import from_engine
from mainspring._adapters.delta.types import cast, column_type, quoted
from mainspring.core.errors import Invalid, MainspringError
from mainspring.core.ids import new_id
from mainspring.core.schema import ColumnType, Schema
from mainspring.ports.tables import Commit, File, Frame, Relation, TableVersion

_NAME: Final = re.compile(r"[a-z][a-z0-9_-]{0,127}(/[a-z][a-z0-9_-]{0,127}){0,7}\Z")
_ATTEMPTS: Final = 6
_FITS: Final[set[tuple[ColumnType, ColumnType]]] = {
    ("integer", "number"),
    ("number", "integer"),  # integers and booleans with nulls travel as floats; checked by value
    ("number", "boolean"),
    ("date", "timestamp"),
    ("timestamp", "date"),
}
ROWS: Final = "SELECT * FROM rows"


class DeltaTables:
    """The tables port on one folder; several processes may share it.

    ``durable`` syncs every commit to the disk before it is acknowledged. ``memory_bytes`` bounds
    the query engine. Temporary data goes to ``spill``, by default beside the tables.
    """

    def __init__(
        self,
        root: Path | str,
        *,
        memory_bytes: int = 1_000_000_000,
        threads: int = 2,
        spill: Path | None = None,
        durable: bool = True,
    ) -> None:
        self._root = Path(root).resolve()
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
        spill = spill or self._root.parent / f"{self._root.name}.tmp"
        self._engine = Engine(self._root, memory_bytes=memory_bytes, threads=threads, spill=spill)
        self._durable = durable
        self._locks: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
        self._synced: dict[str, int] = {}
        self._mended: set[str] = set()

    # -- versions -----------------------------------------------------------------------------

    def exists(self, name: str) -> bool:
        return DeltaTable.is_deltatable(str(self._mended_path(name)))

    def version(self, name: str) -> int:
        return int(self._open(name).version())

    def schema(self, table: TableVersion) -> Schema:
        return log.schema_of(self._open(table.name, table.version))

    def history(self, name: str) -> list[Commit]:
        return log.history(self._open(name))

    # -- writing ------------------------------------------------------------------------------

    def append(
        self,
        name: str,
        rows: Relation,
        *,
        token: str | None = None,
        replace_where: str | None = None,
    ) -> int:
        return self.append_query(
            name, ROWS, {"rows": rows}, token=token, replace_where=replace_where
        )

    def append_query(
        self,
        name: str,
        sql: str,
        relations: Mapping[str, Relation],
        *,
        token: str | None = None,
        replace_where: str | None = None,
    ) -> int:
        def write(table: DeltaTable | None) -> int:
            seen = log.version_of(table, token) if table is not None and token else None
            if seen is not None:
                return seen
            with self._cursor(relations, sql, name) as cursor:
                return self._commit(cursor, sql, relations, (name, table, token, replace_where))

        return self._retried(name, write, again=replace_where is None)

    def delete_where(self, name: str, condition: str) -> int:
        def delete(table: DeltaTable | None) -> int:
            if table is None:
                raise trouble.not_found(name)
            with trouble.translated(condition, name=name):
                table.delete(log.condition(condition))
            return self._settled(name, table)

        return self._retried(name, delete)

    def compact(self, name: str) -> int:
        def merge(table: DeltaTable | None) -> int:
            if table is None:
                raise trouble.not_found(name)
            with trouble.translated("", name=name):
                table.optimize.compact()
            return self._settled(name, table)

        return self._retried(name, merge)

    def vacuum(self, name: str, keep: frozenset[int]) -> int:
        with self._locks[name], trouble.translated("", name=name):
            return log.vacuum(self._path(name), name, keep, orphan_hours=24)

    def drop(self, name: str) -> None:
        path = self._path(name)
        with self._locks[name]:
            self._open(name)
            self._synced.pop(name, None)
            grave = self._root / f".dropped-{new_id()}"
            path.rename(grave)  # at once, so that nobody sees half a table
        shutil.rmtree(grave, ignore_errors=True)

    # -- reading ------------------------------------------------------------------------------

    def query(
        self, sql: str, relations: Mapping[str, Relation], values: Mapping[str, Any] | None = None
    ) -> Frame:
        with self._cursor(relations, sql) as cursor:
            relation = self._select(cursor, sql, relations, values)
            return from_engine(relation.project(_casts(relation, None)).fetchnumpy())

    def close(self) -> None:
        """Lets go of the engine's memory and threads."""
        self._engine.close()

    # -- parts --------------------------------------------------------------------------------

    def _path(self, name: str) -> Path:
        if not _NAME.match(name):
            raise Invalid(
                "tables.bad_name",
                f"{name[:80]!r} is not a name for a table.",
                hint="Use lower-case words of letters, digits, '_' and '-', with '/' for folders.",
                table=name[:80],
            )
        return self._root / f"{name}.delta"  # the suffix keeps 'a' apart from the folder of 'a/b'

    def _mended_path(self, name: str) -> Path:
        """The table's folder, once what a power cut may have left there was set aside."""
        path = self._path(name)
        if name not in self._mended:
            power.mend(path)
            self._mended.add(name)
        return path

    def _open(self, name: str, version: int | None = None) -> DeltaTable:
        return log.open_table(self._mended_path(name), name, version)

    def _select(
        self,
        cursor: duckdb.DuckDBPyConnection,
        sql: str,
        named: Mapping[str, Relation],
        values: Mapping[str, Any] | None = None,
    ) -> duckdb.DuckDBPyRelation:
        return relations.select(cursor, sql, frozenset(named), values)

    def _commit(
        self,
        cursor: duckdb.DuckDBPyConnection,
        sql: str,
        named: Mapping[str, Relation],
        target: tuple[str, DeltaTable | None, str | None, str | None],
    ) -> int:
        name, table, token, replace_where = target
        relation = self._select(cursor, sql, named)
        known = None if table is None else log.schema_of(table)
        rows = relation.project(_casts(relation, _checked(name, relation, known)))
        next_version = 0 if table is None else table.version() + 1
        said = log.properties(token, next_version)
        if table is None:
            table = self._create(name, rows, said)
        elif replace_where is None:
            write_deltalake(table, rows, mode="append", commit_properties=said)
        else:
            where = log.condition(replace_where)
            write_deltalake(table, rows, mode="overwrite", predicate=where, commit_properties=said)
        return self._settled(name, table)

    def _create(self, name: str, rows: duckdb.DuckDBPyRelation, said: Any) -> DeltaTable:
        path = self._path(name)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_deltalake(
            str(path), rows, mode="error", configuration=log.SETTINGS, commit_properties=said
        )
        return log.open_table(path, name, 0)

    def _settled(self, name: str, table: DeltaTable) -> int:
        version = int(table.version())
        if self._durable:
            first = self._synced.get(name, version - power.OTHERS) + 1
            with trouble.translated("", name=name):
                power.sync(self._root, self._path(name), first, version)
            self._synced[name] = version
        return version

    def _retried(
        self, name: str, write: Callable[[DeltaTable | None], int], *, again: bool = True
    ) -> int:
        """Runs a write on the newest version, again after losing a race that harms nobody."""
        path = self._mended_path(name)
        with self._locks[name]:
            for attempt in range(_ATTEMPTS):
                exists = DeltaTable.is_deltatable(str(path))
                try:
                    return write(log.open_table(path, name) if exists else None)
                except trouble.CommitLostError as lost:
                    if attempt == _ATTEMPTS - 1 or not (again or not exists):
                        raise trouble.conflict(name, str(lost)) from lost
        raise AssertionError("the loop returns or raises")

    @contextmanager
    def _cursor(
        self, named: Mapping[str, Relation], sql: str, name: str = ""
    ) -> Iterator[duckdb.DuckDBPyConnection]:
        """A cursor that sees the relations, its errors in the port's words."""
        files = [relation for relation in named.values() if isinstance(relation, File)]
        with ExitStack() as stack:
            if files:
                stack.enter_context(_file_errors(files))
            stack.enter_context(trouble.translated(sql, name=name))
            prepared = self._prepared(stack, named)
            tables = [path for listed, _ in prepared.values() for path in listed]
            opened = self._engine.cursor_on(tables) if files else self._engine.cursor()
            cursor = stack.enter_context(opened)
            for known_as, relation in named.items():
                listed, schema = prepared.get(known_as, ([], None))
                if isinstance(relation, File):
                    text = outside.sql_of(cursor, relation, listed)
                    zone = outside.options_of(relation).timezone
                    relations.view_of_query(cursor, known_as, text, timezone=zone)
                elif schema is not None:
                    relations.view_of_files(cursor, known_as, schema, listed)
                elif not isinstance(relation, TableVersion):
                    relations.view_of_frame(cursor, known_as, relation)
            yield cursor

    def _prepared(
        self, stack: ExitStack, named: Mapping[str, Relation]
    ) -> dict[str, tuple[list[str], Schema | None]]:
        """The paths behind each relation that lies in files."""
        prepared: dict[str, tuple[list[str], Schema | None]] = {}
        for number, (name, relation) in enumerate(named.items()):
            if isinstance(relation, TableVersion):
                table = self._open(relation.name, relation.version)
                past = relation.version is not None
                files = log.files_of(table, relation.name, past=past)
                prepared[name] = (files, log.schema_of(table))
            elif isinstance(relation, File):
                scratch = stack.enter_context(self._engine.scratch()) / f"{number}"
                scratch.mkdir()
                prepared[name] = (outside.paths_of(relation, scratch), None)
        return prepared


@contextmanager
def _file_errors(files: list[File]) -> Iterator[None]:
    """The engine's complaints about an outside file, told about that file."""
    try:
        yield
    except MainspringError as error:
        text = error.message
        if error.code != "tables.bad_query" or not outside.is_about_file(text):
            raise
        named = [file for file in files if Path(file.path).name in text]
        raise outside.explain((named or files)[0], text) from error


def _checked(name: str, relation: duckdb.DuckDBPyRelation, known: Schema | None) -> Schema:
    """The table's schema, once the rows fit it; the rows' own for a new table.

    Errors: ``tables.schema_mismatch``.
    """
    given = relations.schema_of(relation)
    if known is None:
        return given
    if set(given.names) != set(known.names):
        missing = sorted(set(known.names) - set(given.names))
        extra = sorted(set(given.names) - set(known.names))
        raise Invalid(
            "tables.schema_mismatch",
            f"The rows do not have the columns of table {name!r}.",
            hint=f"Missing: {', '.join(missing) or 'none'}; unknown: {', '.join(extra) or 'none'}.",
            table=name,
            missing=missing,
            unknown=extra,
        )
    types = {column.name: column.type for column in given.columns}
    empty = {c for c, t in zip(relation.columns, relation.types, strict=True) if str(t) == '"NULL"'}
    for column in known.columns:
        found = types[column.name]
        if found != column.type and (found, column.type) not in _FITS and column.name not in empty:
            raise Invalid(
                "tables.schema_mismatch",
                f"Column {column.name!r} of table {name!r} is {column.type}, the rows have {found}.",
                hint=f"CAST it to {column.type} in the query.",
                table=name,
                column=column.name,
            )
    return known


def _casts(relation: duckdb.DuckDBPyRelation, schema: Schema | None) -> str:
    """The projection onto a schema's columns, or onto the rows' own canonical types."""
    types = {n: str(t) for n, t in zip(relation.columns, relation.types, strict=True)}
    if schema is None:
        return ", ".join(_readable(name, type_) for name, type_ in types.items())
    return ", ".join(
        cast(column.name, types[column.name], column.type) for column in schema.columns
    )


def _readable(name: str, type_: str) -> str:
    """A result column in its canonical type; lists and the like stay as the engine gives them."""
    try:
        return cast(name, type_, column_type(name, type_))
    except Invalid:
        return quoted(name)
