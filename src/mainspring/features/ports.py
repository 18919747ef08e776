"""What the features stage needs to keep, beside the tables themselves."""

from __future__ import annotations

from typing import Protocol

from mainspring.features.records import FeatureBuild
from mainspring.ports.database import Reader, Transaction


class FeatureStore(Protocol):
    """The register of feature builds. A build is written once; versions ascend from one."""

    def add(self, tx: Transaction, build: FeatureBuild) -> None:
        """Registers a build; the caller has made sure in ``tx`` that it is the next one."""
        ...

    def latest(self, reader: Reader, feature_set: str) -> FeatureBuild | None:
        """The newest build, or None."""
        ...

    def get(self, reader: Reader, feature_set: str, version: int) -> FeatureBuild | None:
        """One build, or None."""
        ...

    def builds(self, reader: Reader, feature_set: str) -> list[FeatureBuild]:
        """Every build, oldest first."""
        ...

    def names(self, reader: Reader) -> list[str]:
        """The feature sets that have a build."""
        ...
