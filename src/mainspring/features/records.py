"""What is stored of built features, and what a check of them found."""

from __future__ import annotations

from datetime import datetime

import msgspec

from mainspring.core.digest import Digest
from mainspring.features.types import FeatureColumn, FeatureSet
from mainspring.ports.tables import TableVersion
from mainspring.problem.types import Problem


class FeatureBuild(msgspec.Struct, frozen=True, kw_only=True):
    """A feature table at one version: the stretch that was built last, and of what.

    The table holds, per row of the problem's dataset: ``row_key`` (text), ``event_time``,
    ``prediction_time``, ``label`` (null while there is none), ``label_known_at``, a ``group_...``
    column for each of the problem's groups, and the features of ``columns``: numbers as floats,
    categories as text. ``recipe`` is the digest of all that decides a row's values but the facts;
    a change of it starts a new table. ``inputs`` adds the content of the dataset versions used.
    """

    feature_set: str
    version: int
    table: str
    table_version: int
    definition: FeatureSet
    problem: Problem
    recipe: Digest
    inputs: Digest
    used: dict[str, int]
    columns: tuple[FeatureColumn, ...]
    start: datetime | None
    end: datetime | None
    rows: int
    table_rows: int
    created: datetime

    @property
    def name(self) -> str:
        """``late@3``, as references and messages write it."""
        return f"{self.feature_set}@{self.version}"

    @property
    def relation(self) -> TableVersion:
        """The rows, for queries."""
        return TableVersion(self.table, self.table_version)


class FeatureHealth(msgspec.Struct, frozen=True, kw_only=True):
    """One feature over the rows of a build."""

    name: str
    null_ratio: float
    distinct: int


class FeatureCheck(msgspec.Struct, frozen=True, kw_only=True):
    """What a check of a build found.

    ``sampled`` rows were computed again, slowly and by other means, from only the facts known at
    their T; ``mismatches`` names what differed by as much as a bit.
    """

    build: str
    rows: int
    newest_event: datetime | None
    newest_in_dataset: datetime | None
    features: tuple[FeatureHealth, ...]
    sampled: int
    compared: int
    mismatches: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether the recomputation agreed everywhere."""
        return not self.mismatches
