"""The few words in which the suites state what must hold."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mainspring.core.errors import MainspringError


def ensure(holds: object, what: object = "") -> None:
    """Fails the test unless the promise holds; unlike ``assert`` it also speaks under ``-O``."""
    if not holds:
        raise AssertionError(what or "the promise in the test's docstring does not hold")


def refused(act: Callable[..., Any], *arguments: Any, **named: Any) -> str:
    """The code of the error with which a call is refused; fails the test when it is not."""
    try:
        act(*arguments, **named)
    except MainspringError as error:
        return error.code
    raise AssertionError(f"{act} was not refused")
