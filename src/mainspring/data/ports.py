"""What the data stage needs to keep, beside the tables themselves."""

from __future__ import annotations

from typing import Protocol

from mainspring.data.versions import DatasetVersion
from mainspring.ports.database import Reader, Transaction


class DatasetStore(Protocol):
    """The register of dataset versions, and which staged copies of sources exist.

    A version is written once and never changed. Ordering: versions ascend.
    """

    def add(self, tx: Transaction, version: DatasetVersion) -> None:
        """Registers a version; the caller has made sure in ``tx`` that it is the next one."""
        ...

    def latest(self, reader: Reader, dataset: str) -> DatasetVersion | None:
        """The newest version, or None when there is none yet."""
        ...

    def get(self, reader: Reader, dataset: str, version: int) -> DatasetVersion | None:
        """One version, or None."""
        ...

    def versions(self, reader: Reader, dataset: str) -> list[DatasetVersion]:
        """Every version, oldest first."""
        ...

    def datasets(self, reader: Reader) -> list[str]:
        """The names of all datasets that have a version."""
        ...

    def staged(self, reader: Reader, dataset: str) -> str | None:
        """The name of the dataset's staged table, or None."""
        ...

    def stage(self, tx: Transaction, dataset: str, table: str | None) -> None:
        """Remembers which staged table a dataset has; None forgets."""
        ...
