"""Predictions for the rows of a file, offline: the same features, the same package, the same score."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mainspring.core.digest import Digest
from mainspring.core.errors import Conflict, Invalid, NotFound
from mainspring.data.incoming import read_incoming
from mainspring.features.point_in_time import row_key
from mainspring.features.service import FeatureViews
from mainspring.features.types import FeatureSet
from mainspring.ports.tables import Frame
from mainspring.projects.file import LoadedProject
from mainspring.projects.production import CHAMPION
from mainspring.registry.address import parse_address
from mainspring.registry.service import Registry
from mainspring.registry.types import Version
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
    keys = _keys(features, found.rows, dataset.key, file)
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


def _keys(features: FeatureViews, rows: Frame, key: tuple[str, ...], file: Path) -> list[str]:
    sql = f"SELECT {row_key(key, 'given')} AS row_key FROM given"
    keys: list[str] = features.tables.query(sql, {"given": rows})["row_key"].tolist()
    seen: dict[str, int] = {}
    for place, one in enumerate(keys, 1):
        if one in seen:
            raise Invalid(
                "data.duplicate_keys",
                f"Rows {seen[one]} and {place} of {file.name!r} share the key "
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
