"""The register of dataset versions in SQL."""

from __future__ import annotations

import msgspec

from mainspring.core.digest import canonical_json
from mainspring.core.time import to_micros
from mainspring.data.versions import DatasetVersion
from mainspring.ports.database import Reader, Transaction

_decoder = msgspec.json.Decoder(DatasetVersion)
_SELECT = "SELECT document FROM dataset_versions WHERE dataset = ?"


class SqlDatasetStore:
    """One row per version, its whole record as a JSON document beside the columns to look by."""

    def add(self, tx: Transaction, version: DatasetVersion) -> None:
        tx.run(
            "INSERT INTO dataset_versions (dataset, version, period, row_count, digest, document, "
            "created_micros) VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                version.dataset,
                version.version,
                version.period,
                version.rows,
                version.digest,
                canonical_json(version).decode(),
                to_micros(version.created),
            ),
        )

    def latest(self, reader: Reader, dataset: str) -> DatasetVersion | None:
        row = reader.one(f"{_SELECT} ORDER BY version DESC LIMIT 1", (dataset,))
        return _decoder.decode(row[0]) if row else None

    def get(self, reader: Reader, dataset: str, version: int) -> DatasetVersion | None:
        row = reader.one(f"{_SELECT} AND version = ?", (dataset, version))
        return _decoder.decode(row[0]) if row else None

    def versions(self, reader: Reader, dataset: str) -> list[DatasetVersion]:
        rows = reader.all(f"{_SELECT} ORDER BY version", (dataset,))
        return [_decoder.decode(row[0]) for row in rows]

    def datasets(self, reader: Reader) -> list[str]:
        rows = reader.all("SELECT DISTINCT dataset FROM dataset_versions ORDER BY dataset")
        return [str(row[0]) for row in rows]

    def staged(self, reader: Reader, dataset: str) -> str | None:
        row = reader.one("SELECT staged_table FROM dataset_stages WHERE dataset = ?", (dataset,))
        return str(row[0]) if row else None

    def stage(self, tx: Transaction, dataset: str, table: str | None) -> None:
        if table is None:
            tx.run("DELETE FROM dataset_stages WHERE dataset = ?", (dataset,))
            return
        tx.run(
            "INSERT INTO dataset_stages (dataset, staged_table) VALUES (?, ?) "
            "ON CONFLICT (dataset) DO UPDATE SET staged_table = excluded.staged_table",
            (dataset, table),
        )
