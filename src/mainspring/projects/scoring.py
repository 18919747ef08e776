"""Predictions for files and datasets, offline: the same features, the same package, the same score."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mainspring.core.digest import Digest, digest_of
from mainspring.core.errors import Conflict, Invalid, NotFound
from mainspring.core.events import Fact, ref
from mainspring.core.names import check_name
from mainspring.data.incoming import read_incoming
from mainspring.data.types import Dataset
from mainspring.data.versions import DatasetVersion, IngestReport
from mainspring.features.point_in_time import row_key
from mainspring.features.service import FeatureViews
from mainspring.features.types import FeatureSet
from mainspring.ports.database import Transaction
from mainspring.ports.tables import Frame, TableVersion
from mainspring.projects import events
from mainspring.projects.file import LoadedProject
from mainspring.projects.production import CHAMPION
from mainspring.registry.address import parse_address
from mainspring.registry.service import Registry
from mainspring.registry.types import Version
from mainspring.serving.batch import (
    BatchJob,
    Elsewhere,
    Preparation,
    Progress,
    part_rows,
    score_table,
)
from mainspring.serving.model import ServedModel

LoadModel = Callable[[Digest], ServedModel]


@dataclass(frozen=True, slots=True)
class Predictions:
    """The answers to the rows of a file, in its order.

    ``columns`` holds the key columns, ``score`` (a probability) or ``value``, ``decision`` when
    the model has a policy, and ``version``.
    """

    version: Version
    columns: dict[str, NDArray[Any]]
    missing: tuple[str, ...]
    left_out: int

    def __len__(self) -> int:
        return len(self.columns["version"])


def predict_file(
    project: LoadedProject,
    definition: FeatureSet,
    *,
    version: Version,
    file: Path,
    features: FeatureViews,
    load: LoadModel,
) -> Predictions:
    """Predicts the rows of a file with one version.

    Errors: those of reading the file, ``data.duplicate_keys``, ``projects.features_changed``,
    ``registry.no_package``.
    """
    spec = project.spec
    name, dataset = spec.problem.dataset, spec.datasets[spec.problem.dataset]
    stored = features.datasets.show(name)
    found = read_incoming(
        features.tables,
        file,
        name,
        dataset,
        schema=stored.schema,
        source=spec.sources[dataset.source],
    )
    keys = _keys(features, found.rows, dataset.key, file.name)
    computed = features.compute(definition, spec.problem, _with_values(found.rows, dataset.key))
    inputs = _inputs(computed, keys)
    model = load(_package(version))
    scores = model.predict(_of(model, inputs, version))
    columns: dict[str, NDArray[Any]] = {key: found.rows[key] for key in dataset.key}
    output = "score" if model.signature.output == "probability" else "value"
    columns[output] = scores.score
    if scores.decision is not None:
        columns["decision"] = scores.decision
    columns["version"] = np.full(len(keys), version.number)
    # Where it is declared what is known ahead, features can have wanted nothing else.
    missing = () if dataset.known_ahead else found.missing
    return Predictions(version, columns, missing, found.left_out)


@dataclass(frozen=True, slots=True)
class Scored:
    """A dataset version of scores: its key, ``score``, ``decision``, ``model_version``.

    ``rows`` counts what this run scored; what an earlier one had done is not done again.
    """

    version: Version
    source: DatasetVersion
    output: DatasetVersion
    rows: int
    parts: int


@dataclass(frozen=True, slots=True)
class Scoring:
    """Scores whole datasets, out of core: about one part of the rows is in memory at a time.

    ``threads`` of this process share a part; ``elsewhere`` does the parts in other processes, each
    with one in its memory. ``rows_per_part`` 0: as many as its columns allow.
    """

    features: FeatureViews
    load: LoadModel
    threads: int
    elsewhere: Elsewhere | None = None
    rows_per_part: int = 0

    def run(
        self,
        version: Version,
        source: DatasetVersion,
        output: str,
        *,
        preparation: Callable[[], Preparation],
        report: Callable[[Progress], None],
    ) -> Scored:
        """Every row of a dataset version scored, as a version of the dataset ``output``.

        A run that was cut off is completed by the next; the same scoring again changes nothing.
        ``preparation`` makes the features of a dataset that does not hold the inputs themselves.
        Errors: ``data.bad_name``, ``projects.not_an_output``, those of scoring a table.
        """
        job, models, digest = self.job(version, source, output, preparation=preparation)
        done = score_table(
            self.features.tables, job, models, report=report, elsewhere=self.elsewhere
        )
        made = self._registered(version, source, output, (job.target, digest))
        return Scored(version, source, made, done.rows, done.parts)

    def job(
        self,
        version: Version,
        source: DatasetVersion,
        output: str,
        *,
        preparation: Callable[[], Preparation],
    ) -> tuple[BatchJob, list[ServedModel], Digest]:
        """What is to be scored by which copies of the model, and the digest of both.

        The same in every process. Errors: ``data.bad_name``.
        """
        check_name("dataset", output)
        models = [self.load(_package(version)) for _ in range(max(1, self.threads))]
        prepared = None if _holds_inputs(source, models[0]) else preparation()
        said = [source.name, source.table, source.table_version, version.address, models[0].digest]
        digest = digest_of([*said, prepared.digest if prepared else ""])
        columns = len(prepared.columns) + len(models[0].names) if prepared else len(models[0].names)
        job = BatchJob(
            source=source.relation,
            target=f"datasets/{output}/scores-{digest[7:23]}",
            key=source.spec.key,
            version=str(version.number),
            rows_per_part=self.rows_per_part or part_rows(columns),
            preparation=prepared,
        )
        return job, models, digest

    def _registered(
        self, version: Version, source: DatasetVersion, output: str, what: tuple[str, Digest]
    ) -> DatasetVersion:
        """The version of the output that holds these scores, registered once."""
        table, digest = what
        datasets, tables = self.features.datasets, self.features.tables
        number, schema = tables.version(table), tables.schema(TableVersion(table))
        counted = tables.query("SELECT count(*) AS n FROM s", {"s": TableVersion(table)})
        rows = int(counted["n"][0])

        def work(tx: Transaction) -> DatasetVersion:
            known = datasets.store.versions(tx, output)
            for one in known:
                if one.table == table:
                    return one
                if not one.table.startswith(f"datasets/{output}/scores-"):
                    raise _not_an_output(output)
            made = DatasetVersion(
                dataset=output,
                version=len(known) + 1,
                table=table,
                table_version=number,
                period="all",
                rows=rows,
                digest=digest,
                periods={"all": digest},
                period_rows={"all": rows},
                source=digest,
                spec=Dataset(source=output, key=source.spec.key),
                schema=schema,
                report=IngestReport(
                    rows_in=rows,
                    rows_kept=rows,
                    rows_quarantined=0,
                    source_rows=source.rows,
                    removed_rows=source.rows - rows,
                ),
                created=datasets.clock.now(),
            )
            datasets.store.add(tx, made)
            tx.announce(
                Fact(
                    kind=events.SCORED,
                    subject=ref("dataset", made.name),
                    facts={"rows": rows, "version": version.number},
                    used=(ref("dataset", source.name), ref("model", version.address)),
                    generated=(ref("dataset", made.name),),
                )
            )
            return made

        return datasets.database.write(work)


def preparation_of(
    project: LoadedProject, definition: FeatureSet, features: FeatureViews
) -> Preparation:
    """How rows of a dataset become the features of the project, part by part."""
    spec = project.spec
    dataset = features.datasets.show(spec.problem.dataset)
    recipe, request = features.recipe(definition, spec.problem)
    hidden = {spec.problem.target, spec.problem.label_known_at}
    columns = tuple(dict.fromkeys((*request.known_ahead, *(name for name in dataset.spec.key))))
    wanted = tuple(name for name in columns if name not in hidden)

    def made(frame: Frame) -> Frame:
        keys = _keys(features, frame, dataset.spec.key, dataset.dataset)
        rows = {name: frame[name] for name in wanted}
        return _inputs(features.compute(definition, spec.problem, rows), keys)

    return Preparation(wanted, made, str(recipe))


def _holds_inputs(source: DatasetVersion, model: ServedModel) -> bool:
    return set(model.names) <= set(source.schema.names)


def _not_an_output(name: str) -> Conflict:
    return Conflict(
        "projects.not_an_output",
        f"The dataset {name!r} holds rows that were ingested, not scores.",
        hint="Give the scores a name of their own.",
        dataset=name,
    )


def chosen_version(registry: Registry, address: str) -> Version:
    """The version that an address names; a name alone means its champion.

    Errors: ``registry.alias_not_found`` and the like.
    """
    parsed = parse_address(address)
    if parsed.number is not None or parsed.alias is not None or address.endswith("/latest"):
        return registry.aliases.resolve(address)
    return registry.aliases.resolve(f"{parsed.name}@{CHAMPION}")


def _package(version: Version) -> Digest:
    if version.package is None:
        raise NotFound(
            "registry.no_package",
            f"{version.address} has no package: it was registered by its source alone.",
            hint="Predict with a version that this project has trained.",
        )
    return version.package


def _keys(features: FeatureViews, rows: Frame, key: tuple[str, ...], where: str) -> list[str]:
    sql = f"SELECT {row_key(key, 'given')} AS row_key FROM given"
    keys: list[str] = features.tables.query(sql, {"given": rows})["row_key"].tolist()
    seen: dict[str, int] = {}
    for place, one in enumerate(keys, 1):
        if one in seen:
            raise Invalid(
                "data.duplicate_keys",
                f"Rows {seen[one]} and {place} of {where!r} share the key "
                f"{', '.join(key)} = {one[:80]}.",
                hint="Each row is predicted under its key; give every row its own.",
                rows=place,
            )
        seen[one] = place
    return keys


def _with_values(rows: Frame, key: tuple[str, ...]) -> Frame:
    """The columns that hold any value: a column of nothing alone has lost its type."""
    return {
        name: values
        for name, values in rows.items()
        if name in key or not all(one is None or one != one for one in values.tolist())  # noqa: PLR0124 - NaN is not itself
    }


def _inputs(computed: Frame, keys: list[str]) -> Mapping[str, NDArray[Any]]:
    """The features in the order of the keys."""
    places = {key: place for place, key in enumerate(computed["row_key"].tolist())}
    order = np.array([places[key] for key in keys], dtype=np.intp)
    return {name: values[order] for name, values in computed.items()}


def _of(model: ServedModel, inputs: Mapping[str, NDArray[Any]], version: Version) -> Frame:
    absent = [column.name for column in model.signature.inputs if column.name not in inputs]
    if absent:
        raise Conflict(
            "projects.features_changed",
            f"{version.address} needs {absent[0]!r}, which the features of the project lack.",
            hint="Train a version with the present features, or bring the feature back.",
            inputs=absent[:20],
        )
    return {
        column.name: inputs[column.name].astype(np.float64)
        if column.type == "number"
        else inputs[column.name]
        for column in model.signature.inputs
    }
