"""Mainspring: one system for the whole life of a machine-learning model.

``open()`` gives a workspace, ``gateway_app()`` its gateway for another server; ``step`` and
``pipeline`` mark plain functions that an execution can record; ``metric``, ``param``, ``tag`` and ``attribute`` ask for runs; the other words define
features. Everything heavy is loaded when it is first used.

Example:
    >>> import mainspring as ms
    >>> @ms.step
    ... def double(value: int) -> int:
    ...     return 2 * value
    >>> double(21)
    42
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from mainspring._bootstrap.workspace import Workspace
    from mainspring._bootstrap.workspace import open_workspace as open  # noqa: A004
    from mainspring._entrypoints.inference.mounted import gateway_app
    from mainspring.core.errors import MainspringError
    from mainspring.features import (
        count,
        derived,
        feature_set,
        highest,
        latest,
        lowest,
        mean,
        pending,
        planned,
        rolling,
        row,
        share,
        total,
    )
    from mainspring.pipelines.steps import pipeline, step
    from mainspring.tracking.expressions import attribute, metric, param, tag

__version__ = "0.1.0.dev0"
__all__ = [
    "MainspringError",
    "Workspace",
    "attribute",
    "count",
    "derived",
    "feature_set",
    "gateway_app",
    "highest",
    "latest",
    "lowest",
    "mean",
    "metric",
    "open",
    "param",
    "pending",
    "pipeline",
    "planned",
    "rolling",
    "row",
    "share",
    "step",
    "tag",
    "total",
]
_FEATURES: Final = "mainspring.features.define"
_EXPRESSIONS: Final = "mainspring.tracking.expressions"
_HOMES: Final[dict[str, tuple[str, str]]] = {
    "MainspringError": ("mainspring.core.errors", "MainspringError"),
    "Workspace": ("mainspring._bootstrap.workspace", "Workspace"),
    "gateway_app": ("mainspring._entrypoints.inference.mounted", "gateway_app"),
    "open": ("mainspring._bootstrap.workspace", "open_workspace"),
    "pipeline": ("mainspring.pipelines.steps", "pipeline"),
    "step": ("mainspring.pipelines.steps", "step"),
    **{name: (_EXPRESSIONS, name) for name in ("attribute", "metric", "param", "tag")},
}


def __getattr__(name: str) -> Any:
    """A name of the shop window, loaded from its home on first use."""
    if name not in __all__:
        raise AttributeError(f"module 'mainspring' has no attribute {name!r}")
    module, attribute = _HOMES.get(name, (_FEATURES, name))
    value = getattr(importlib.import_module(module), attribute)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
