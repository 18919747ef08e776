"""What a model runtime must offer so that the gateway can serve any model the same way."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from mainspring.core.schema import Signature
from mainspring.registry.plan import Plan, Way

if TYPE_CHECKING:
    import numpy as np

    from mainspring.ports.tables import Frame

    Array = np.ndarray[Any, Any]


class Loaded(Protocol):
    """A model in memory. ``predict`` may be called from one thread at a time."""

    def predict(self, inputs: Array) -> Array:
        """One raw number per row.

        Shapes: float64 (n, number of inputs) in signature order, C-contiguous, in; float64 (n,)
        out. A category column holds its code (-1 for unknown or null); a null number is NaN.
        """
        ...


class Explains(Protocol):
    """A loaded model that can tell what each input added to its answer. Safe from any thread."""

    def explain(self, inputs: Array) -> Array:
        """What each input adds to the raw sum, and last what there is without any.

        Shapes: as ``predict`` in; float64 (n, number of inputs + 1) out. A row's sum is the raw
        answer before its link (log odds for a chance). Source: SHAP values, Lundberg and Lee 2017.
        """
        ...


class Runtime(Protocol):
    """One safe file format: reading it never executes what it holds.

    ``steady``: its models take a time that depends on the number of rows alone, so that small
    batches may run on the event loop. Models of any other runtime have a thread each.
    """

    name: str
    steady: bool

    def load(
        self, files: Mapping[str, bytes], signature: Signature, plan: Plan | None = None
    ) -> Loaded:
        """The model, ready to predict. Only the runtime of reviewed types looks at the plan.

        Errors: ``serving.package_unreadable``; ``serving.extra_missing`` naming the extra.
        """
        ...


@dataclass(frozen=True, slots=True)
class Form:
    """One form that a model can be kept in.

    ``files`` makes it, and may refuse with an error of ours: the form is then not tried.
    """

    way: Way
    runtime: str
    files: Callable[[], Mapping[str, bytes]]
    trusted: tuple[str, ...] = ()


class Packer(Protocol):
    """What a library adapter knows of the models that its library makes.

    Nothing here runs in a gateway: packing happens where the model was trained.
    """

    def takes(self, model: object) -> bool:
        """Whether the object is of this library; the library is not loaded to tell."""
        ...

    def answers(self, model: Any, rows: Frame, signature: Signature) -> Array:
        """The answers of the object itself, by its own library. Shapes: (n,)."""
        ...

    def forms(self, model: Any, signature: Signature) -> tuple[Form, ...]:
        """The forms it can be kept in, the preferred one first. Errors: ``serving.not_packable``."""
        ...

    def thresholds(self, model: Any) -> Mapping[int, Array]:
        """Where the model splits, by position of the input; empty when that cannot be read."""
        ...
