"""``@step`` and ``@pipeline``: plain functions that an execution can record and remember.

Called on their own they are what they were. Called inside an execution, a step is looked up by
its key first (code, arguments, environment) and runs only when no result is kept.

Example:
    >>> @step
    ... def add(a: int, b: int) -> int:
    ...     return a + b
    >>> add(1, 2)
    3
"""

from __future__ import annotations

import ast
import functools
import hashlib
import inspect
import sys
import textwrap
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import Any, ParamSpec, Protocol, TypeVar

from mainspring.core.digest import Digest, digest_of, sha256
from mainspring.pipelines.codec import encode

P = ParamSpec("P")
R = TypeVar("R")


class Recorder(Protocol):
    """What runs a step on behalf of an execution."""

    def step(self, name: str, key: Digest, work: Callable[[], Any]) -> Any:
        """The kept result under the key, or that of the work."""
        ...


current: ContextVar[Recorder | None] = ContextVar("current_execution", default=None)


def step(function: Callable[P, R]) -> Callable[P, R]:
    """The function as a step. Its result must be plain values or arrays (see ``codec``)."""

    @functools.wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        recorder = current.get()
        if recorder is None:
            return function(*args, **kwargs)
        bound = inspect.signature(function).bind(*args, **kwargs)
        bound.apply_defaults()
        key = step_key(function, bound.arguments)
        result: R = recorder.step(function.__name__, key, lambda: function(*args, **kwargs))
        return result

    wrapped.__mainspring__ = "step"  # type: ignore[attr-defined]
    return wrapped


def pipeline(function: Callable[P, R]) -> Callable[P, R]:
    """The function as a pipeline: its calls of steps are its graph."""
    function.__mainspring__ = "pipeline"  # type: ignore[attr-defined]
    return function


def step_key(function: Callable[..., Any], arguments: Mapping[str, Any]) -> Digest:
    """The key of a step's result: equal code, arguments and environment give the same key."""
    given = {name: sha256(encode(value)) for name, value in arguments.items()}
    return digest_of([code_digest(function), given, environment()])


def code_digest(function: Callable[..., Any]) -> str:
    """A digest of what the function does: its syntax tree without comments and layout.

    Functions of the same file that it calls by name count too, so that changing a helper makes
    the step run again.
    """
    seen: dict[str, str] = {}
    _collect(inspect.unwrap(function), seen)
    return hashlib.sha256("\n".join(f"{n}={seen[n]}" for n in sorted(seen)).encode()).hexdigest()


def _collect(function: Callable[..., Any], seen: dict[str, str]) -> None:
    name = function.__qualname__
    if name in seen:
        return
    try:
        source = textwrap.dedent(inspect.getsource(function))
    except (OSError, TypeError):
        seen[name] = function.__module__
        return
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            node.decorator_list = []
    seen[name] = ast.dump(tree)
    for used in sorted({n.id for n in ast.walk(tree) if isinstance(n, ast.Name)}):
        other = inspect.unwrap(getattr(function, "__globals__", {}).get(used, None) or _nothing)
        if inspect.isfunction(other) and other.__module__ == function.__module__:
            _collect(other, seen)


def _nothing() -> None:
    """Stands for a name that is no function."""


@functools.cache
def environment() -> str:
    """What a result depends on besides code and arguments: Python and the project's libraries."""
    from importlib import metadata

    libraries = {}
    for name in ("mainspring", "numpy", "duckdb", "lightgbm", "scikit-learn"):
        try:
            libraries[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return digest_of([list(sys.version_info[:2]), libraries])
