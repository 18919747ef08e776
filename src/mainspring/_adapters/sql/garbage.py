"""Garbage in SQL: across the tables of runs, artifacts, step results and model versions."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from mainspring._adapters.sql.fields import chunks, marks
from mainspring._adapters.sql.tracking_artifacts import SqlArtifacts
from mainspring._adapters.sql.tracking_uploads import SqlUploads
from mainspring.core.digest import Digest
from mainspring.governance.ports import Leftover
from mainspring.ports.database import Reader, Transaction
from mainspring.tracking.types import HOLD_TAG
from mainspring.tracking.uploads import ABANDONED_SECONDS

_SCHEME: Final = "mlflow-artifacts:"
_RUNS: Final = (
    "SELECT r.uuid, r.artifact_uri, COALESCE((SELECT MAX(v.time_micros) FROM events v WHERE "
    "(v.subject = 'run:' || r.uuid AND v.kind = 'tracking.run_deleted') OR (v.subject = "
    "'experiment:' || r.experiment AND v.kind = 'tracking.experiment_deleted')), 0) "
    "FROM runs r JOIN experiments e ON e.id = r.experiment "
    "WHERE (r.shelf <> 2 * r.experiment OR e.state = 'deleted')"
)
_MODELS: Final = (
    "SELECT m.id, m.document, COALESCE((SELECT MAX(v.time_micros) FROM events v WHERE "
    "v.subject = 'logged-model:' || m.id AND v.kind = 'tracking.model_deleted'), 0) "
    "FROM logged_models m WHERE m.state = 'deleted'"
)
# An upload counts as abandoned a day after its last part came.
_UPLOADS: Final = f"SELECT u.id, '', (u.touched_ms + {1000 * ABANDONED_SECONDS}) * 1000 FROM uploads u WHERE 1 = 1"
_OF_RUN: Final = (
    "metric_rows",
    "metric_blocks",
    "latest",
    "run_terms",
    "run_datasets",
    "run_models",
)


# Runs, experiments and logged models with this tag are spared, whatever else says they may go.
_HELD_RUNS: Final = (
    "SELECT r.uuid FROM run_terms t JOIN fields f ON f.id = t.field JOIN runs r ON r.id = t.run "
    f"WHERE f.name = 't:{HOLD_TAG}'"
)
_READ: Final = (
    "SELECT DISTINCT l.model FROM run_models l JOIN runs r ON r.id = l.run "
    "WHERE l.role = 'input' AND r.shelf = 2 * r.experiment"
)


class _Model(msgspec.Struct):
    artifact_uri: str = ""
    run_id: str = ""
    tags: dict[str, str] = {}


_decode = msgspec.json.Decoder(_Model).decode
_tags = msgspec.json.Decoder(dict[str, str]).decode


class SqlGarbage:
    """:class:`mainspring.governance.ports.GarbageStore` on SQLite and PostgreSQL."""

    def __init__(self) -> None:
        self._artifacts = SqlArtifacts()

    def leftovers(self, reader: Reader) -> tuple[list[Leftover], int]:
        found = [Leftover("run", row[0], _tree(row[1]), row[2]) for row in reader.all(_RUNS)]
        found += [
            Leftover("model", row[0], _tree(_decode(row[1]).artifact_uri), row[2])
            for row in reader.all(_MODELS)
        ]
        found += [Leftover("upload", *row) for row in reader.all(_UPLOADS)]
        needed = _needed(reader)
        free = [one for one in found if one.id not in needed]
        return free, len(found) - len(free)

    def still(self, tx: Transaction, some: list[Leftover]) -> list[Leftover]:
        runs = [one.id for one in some if one.kind == "run"]
        models = [one.id for one in some if one.kind == "model"]
        uploads = {one.id: one for one in some if one.kind == "upload"}
        deleted: set[str] = set()
        for query, column, ids in ((_RUNS, "r.uuid", runs), (_MODELS, "m.id", models)):
            for part in chunks(ids):
                rows = tx.all(f"{query} AND {column} IN ({marks(part)})", part)
                deleted.update(row[0] for row in rows)
        for part in chunks(list(uploads)):
            rows = tx.all(f"{_UPLOADS} AND u.id IN ({marks(part)})", part)
            deleted.update(row[0] for row in rows if row[2] == uploads[row[0]].deleted_micros)
        free = deleted - _needed(tx)
        return [one for one in some if one.id in free]

    def purge(self, tx: Transaction, one: Leftover) -> None:
        if one.tree:
            self._artifacts.remove(tx, one.tree)
            folder = one.tree.rpartition("/")[0]
            if folder.rpartition("/")[2] == one.id and not self._artifacts.entries(tx, folder):
                self._artifacts.remove(tx, folder)
        if one.kind == "upload":
            SqlUploads().remove(tx, one.id)
            return
        if one.kind == "model":
            tx.run("DELETE FROM model_metrics WHERE model = ?", (one.id,))
            tx.run("DELETE FROM logged_models WHERE id = ?", (one.id,))
            return
        row = tx.one("SELECT id FROM runs WHERE uuid = ?", (one.id,))
        if row:
            for table in _OF_RUN:
                tx.run(f"DELETE FROM {table} WHERE run = ?", row)
            tx.run("DELETE FROM runs WHERE id = ?", row)

    def named(self, reader: Reader, without: list[Leftover]) -> set[Digest]:
        gone = {one.tree for one in without if one.tree}
        given_up = {one.id for one in without if one.kind == "upload"}
        rows = reader.all("SELECT folder, digest FROM artifacts WHERE digest IS NOT NULL")
        found = {Digest(digest) for folder, digest in rows if not _inside(folder, gone)}
        for table in ("step_results", "step_runs"):
            rows = reader.all(f"SELECT DISTINCT result FROM {table} WHERE result IS NOT NULL")
            found.update(Digest(row[0]) for row in rows)
        rows = reader.all("SELECT upload, digest FROM upload_parts")
        found.update(Digest(digest) for upload, digest in rows if upload not in given_up)
        return found


def _needed(reader: Reader) -> set[str]:
    """Every run and logged model that something holds.

    A version, live or deleted, names them; a live run read the model; a live model came
    from the run; or somebody holds them, or their experiment, by a tag.
    """
    found: set[str] = set()
    for run, model, source in reader.all(
        "SELECT run_id, logged_model_id, source FROM model_versions"
    ):
        found.update((run, model, *source.split("/"), *source.split(":")))
    found.update(row[0] for row in reader.all(_READ))
    found.update(row[0] for row in reader.all(_HELD_RUNS))
    held = [row[0] for row in reader.all("SELECT id, tags FROM experiments") if _holds(row[1])]
    for number in held:
        rows = reader.all("SELECT uuid FROM runs WHERE experiment = ?", (number,))
        found.update(row[0] for row in rows)
    for model, experiment, state, document in reader.all(
        "SELECT id, experiment, state, document FROM logged_models"
    ):
        told = _decode(document)
        if experiment in held or HOLD_TAG in told.tags:
            found.update((model, told.run_id))
        if state == "active":
            found.add(told.run_id)
    return found


def _holds(tags: str) -> bool:
    return HOLD_TAG in tags and HOLD_TAG in _tags(tags)


def _tree(uri: str) -> str:
    """Where artifacts lie in our tree; empty for a location elsewhere."""
    path = uri.removeprefix(_SCHEME)
    if path == uri:
        return ""
    return (path[2:].partition("/")[2] if path.startswith("//") else path).strip("/")


def _inside(folder: str, trees: Iterable[str]) -> bool:
    if not trees:
        return False
    parts = folder.split("/")
    return any("/".join(parts[:end]) in trees for end in range(1, len(parts) + 1))
