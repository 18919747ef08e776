"""The register of feature builds in SQL."""

from __future__ import annotations

import msgspec

from mainspring.core.digest import canonical_json
from mainspring.core.time import to_micros
from mainspring.features.records import FeatureBuild
from mainspring.ports.database import Reader, Transaction

_decoder = msgspec.json.Decoder(FeatureBuild)
_SELECT = "SELECT document FROM feature_builds WHERE feature_set = ?"


class SqlFeatureStore:
    """One row per build, its whole record as a JSON document beside the columns to look by."""

    def add(self, tx: Transaction, build: FeatureBuild) -> None:
        tx.run(
            "INSERT INTO feature_builds (feature_set, version, definition, from_micros, "
            "until_micros, row_count, document, created_micros) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                build.feature_set,
                build.version,
                build.recipe,
                to_micros(build.start) if build.start else None,
                to_micros(build.end) if build.end else None,
                build.rows,
                canonical_json(build).decode(),
                to_micros(build.created),
            ),
        )

    def latest(self, reader: Reader, feature_set: str) -> FeatureBuild | None:
        row = reader.one(f"{_SELECT} ORDER BY version DESC LIMIT 1", (feature_set,))
        return _decoder.decode(row[0]) if row else None

    def get(self, reader: Reader, feature_set: str, version: int) -> FeatureBuild | None:
        row = reader.one(f"{_SELECT} AND version = ?", (feature_set, version))
        return _decoder.decode(row[0]) if row else None

    def builds(self, reader: Reader, feature_set: str) -> list[FeatureBuild]:
        rows = reader.all(f"{_SELECT} ORDER BY version", (feature_set,))
        return [_decoder.decode(row[0]) for row in rows]

    def names(self, reader: Reader) -> list[str]:
        rows = reader.all("SELECT DISTINCT feature_set FROM feature_builds ORDER BY feature_set")
        return [str(row[0]) for row in rows]
