"""Datasets on in-memory ports, and a folder to put source files into."""

from __future__ import annotations

from pathlib import Path

import pytest

from mainspring._adapters.sql.data import SqlDatasetStore
from mainspring.data import Dataset, Datasets, Source
from mainspring.testing import memory_ports


class Desk:
    """A project folder and its datasets; ``ingest`` writes the text and brings it in."""

    def __init__(self, ports, folder: Path) -> None:
        self.ports = ports
        self.folder = folder
        self.datasets = Datasets(ports.database, ports.tables, SqlDatasetStore(), ports.clock)

    def ingest(self, text, spec=None, *, name="rows", source=None, periods=None, **keys):
        path = self.folder / "rows.csv"
        if isinstance(text, str):
            path.write_text(text, encoding="utf-8")
        elif isinstance(text, bytes):
            path.write_bytes(text)
        source = source or Source(path="rows.csv")
        spec = spec or Dataset(source="raw", **{"key": ("id",), **keys})
        return self.datasets.ingest(
            name, spec, sources={"raw": source}, folder=self.folder, periods=periods
        )

    def rows(self, sql, name="rows", version=None):
        found = self.datasets.read(sql, {name: version})
        return [
            tuple(column[i] for column in found.values())
            for i in range(len(next(iter(found.values()))))
        ]

    def events(self):
        rows = self.ports.database.read(
            lambda db: db.all("SELECT kind FROM events ORDER BY sequence")
        )
        return [row[0] for row in rows]


@pytest.fixture
def desk(tmp_path):
    with memory_ports() as ports:
        yield Desk(ports, tmp_path)
