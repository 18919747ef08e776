"""What a model runtime must offer so that the gateway can serve any model the same way."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from mainspring.core.schema import Signature

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]


class Loaded(Protocol):
    """A model in memory. ``predict`` may be called from one thread at a time."""

    def predict(self, inputs: Array) -> Array:
        """One raw number per row.

        Shapes: float64 (n, number of inputs) in signature order, C-contiguous, in; float64 (n,)
        out. A category column holds its code (-1 for unknown or null); a null number is NaN.
        """
        ...


class Runtime(Protocol):
    """One safe file format: reading it never executes what it holds.

    ``steady``: its models take a time that depends on the number of rows alone, so that small
    batches may run on the event loop. Models of any other runtime have a thread each.
    """

    name: str
    steady: bool

    def load(self, files: Mapping[str, bytes], signature: Signature) -> Loaded:
        """The model, ready to predict.

        Errors: ``serving.package_unreadable``; ``serving.extra_missing`` naming the extra.
        """
        ...
