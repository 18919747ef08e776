"""What a run read and made: datasets and logged models, in SQL."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from mainspring._adapters.sql.fields import marks
from mainspring.core.digest import canonical_json
from mainspring.ports.database import Reader, Transaction
from mainspring.tracking.ports import Place
from mainspring.tracking.types import CONTEXT_TAG, Dataset, DatasetInput, ModelLink

_tags = msgspec.json.Decoder(dict[str, str])


def add_datasets(tx: Transaction, place: Place, inputs: Sequence[DatasetInput]) -> None:
    """Ties datasets to a run; one that is tied already keeps its tags."""
    tx.many(
        "INSERT INTO datasets (experiment, name, digest, source_type, source, schema, profile) "
        "VALUES (?,?,?,?,?,?,?) ON CONFLICT (experiment, name, digest) DO NOTHING",
        [
            (place.experiment, d.name, d.digest, d.source_type, d.source, d.schema, d.profile)
            for d in (entry.dataset for entry in inputs)
        ],
    )
    tx.many(
        "INSERT INTO run_datasets (run, dataset, context, tags) "
        "SELECT ?, id, ?, ? FROM datasets WHERE experiment = ? AND name = ? AND digest = ? "
        "ON CONFLICT (run, dataset) DO NOTHING",
        [
            (
                place.number,
                entry.tags.get(CONTEXT_TAG, ""),
                canonical_json(entry.tags).decode(),
                place.experiment,
                entry.dataset.name,
                entry.dataset.digest,
            )
            for entry in inputs
        ],
    )


def add_models(tx: Transaction, place: Place, links: Sequence[ModelLink]) -> None:
    """Ties logged models to a run."""
    tx.many(
        "INSERT INTO run_models (run, role, model, step) VALUES (?,?,?,?) "
        "ON CONFLICT (run, role, model) DO UPDATE SET step = excluded.step",
        [(place.number, link.role, link.model_id, link.step) for link in links],
    )


def links_of(
    reader: Reader, numbers: Sequence[int]
) -> tuple[dict[int, list[DatasetInput]], dict[int, list[ModelLink]]]:
    """The datasets and models of some runs, by run."""
    datasets: dict[int, list[DatasetInput]] = {}
    rows = reader.all(
        "SELECT l.run, l.tags, d.name, d.digest, d.source_type, d.source, d.schema, d.profile "
        "FROM run_datasets l JOIN datasets d ON d.id = l.dataset "
        f"WHERE l.run IN ({marks(numbers)}) ORDER BY l.run, d.id",
        numbers,
    )
    for run, tags, name, digest, source_type, source, schema, profile in rows:
        dataset = Dataset(
            name=name,
            digest=digest,
            source_type=source_type,
            source=source,
            schema=schema,
            profile=profile,
        )
        datasets.setdefault(run, []).append(DatasetInput(dataset, _tags.decode(tags)))
    models: dict[int, list[ModelLink]] = {}
    for run, role, model, step in reader.all(
        f"SELECT run, role, model, step FROM run_models WHERE run IN ({marks(numbers)}) "
        "ORDER BY run, step, model",
        numbers,
    ):
        models.setdefault(run, []).append(ModelLink(model, role, step))
    return datasets, models
