"""DuckDB, closed: no file but the tables', no network, no extension, no setting to change.

One engine serves all queries; each query has a cursor of its own, whose views and frames nobody
else sees. A query over outside files gets an engine of its own that may read exactly those.

Units: the memory limit is for the engine as a whole; beyond it, it spills to its folder on disk.
Concurrency: cursors may be used from any thread, one thread each.
Sums of floats over many rows may differ in their last bits with the order in which threads add;
ORDER BY inside the aggregate, or integers, make them exact. Row order is kept.
"""

from __future__ import annotations

import shutil
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import duckdb

from mainspring._adapters.delta.types import literal


class Engine:
    """Cursors on a DuckDB that reads below one folder only."""

    def __init__(self, folder: Path, *, memory_bytes: int, threads: int, spill: Path) -> None:
        self._folder = folder
        self._memory_bytes = memory_bytes
        self._threads = threads
        self._spill = spill
        self._lock = threading.Lock()
        self._shared: duckdb.DuckDBPyConnection | None = None

    @contextmanager
    def cursor(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A cursor that reads the tables' folder."""
        with self._lock:
            if self._shared is None:
                inside = f"SET allowed_directories=[{literal(str(self._folder) + '/')}]"
                self._shared = self._open(inside)
            cursor = self._shared.cursor()
        try:
            yield cursor
        finally:
            cursor.close()

    @contextmanager
    def cursor_on(self, paths: Sequence[str]) -> Iterator[duckdb.DuckDBPyConnection]:
        """A cursor on an engine of its own that reads exactly these files."""
        listed = ", ".join(literal(path) for path in paths)
        connection = self._open(f"SET allowed_paths=[{listed}]")
        try:
            yield connection
        finally:
            connection.close()

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """A folder for what a file unpacks to, gone afterwards."""
        self._spill.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(dir=self._spill))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def close(self) -> None:
        """Lets go of memory and threads; the next cursor opens anew."""
        with self._lock:
            if self._shared is not None:
                self._shared.close()
                self._shared = None

    def _open(self, inside: str) -> duckdb.DuckDBPyConnection:
        self._spill.mkdir(mode=0o700, parents=True, exist_ok=True)
        connection = duckdb.connect(
            ":memory:",
            config={
                "threads": self._threads,
                "memory_limit": f"{self._memory_bytes}B",
                "temp_directory": str(self._spill),
                "python_enable_replacements": False,
                "autoload_known_extensions": False,
                "autoinstall_known_extensions": False,
                "allow_community_extensions": False,
                "allow_persistent_secrets": False,
            },
        )
        for statement in (
            "SET GLOBAL TimeZone = 'UTC'",
            # Below this guess of rows, an ASOF join compares every pair; guesses shrink from step
            # to step of a longer query, and such a join of 200,000 rows did not end in minutes.
            "SET GLOBAL asof_loop_join_threshold = 0",
            inside,
            "SET enable_external_access = false",
            "SET lock_configuration = true",
        ):
            connection.execute(statement)
        return connection
