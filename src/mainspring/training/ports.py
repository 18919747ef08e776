"""What a learner must offer so that any library can train for us."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from mainspring.core.schema import InputColumn
from mainspring.ports.tables import Frame

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

Parameters = Mapping[str, float | int | str | bool]


class FittedModel(Protocol):
    """A trained model that can be written as plain files that no loader executes.

    ``runtime`` names the serving runtime that reads the files (``lightgbm``, ``linear``, ...).
    """

    runtime: str

    def predict(self, inputs: Frame) -> Array:
        """One raw number per row: a probability for a binary task, else a value.

        Shapes: columns of length n in, float64 of length n out. Categories are strings (or None).
        """
        ...

    def files(self) -> dict[str, bytes]:
        """The model as named files; the same model gives the same bytes."""
        ...


class Learner(Protocol):
    """One way to learn, deterministic for a seed whatever the number of threads."""

    name: str

    def fit(
        self,
        inputs: Frame,
        target: Array,
        *,
        columns: tuple[InputColumn, ...],
        parameters: Parameters,
        seed: int,
    ) -> FittedModel:
        """A model of ``target`` (float64; 0 and 1 for a binary task) from ``inputs``."""
        ...
