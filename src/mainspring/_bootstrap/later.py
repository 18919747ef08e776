"""What is made when it is first used."""

from __future__ import annotations

from collections.abc import Callable


class Later:
    """Stands for something that is made, or looked up, when it is used."""

    def __init__(self, make: Callable[[], object]) -> None:
        self._make = make

    def __getattr__(self, name: str) -> object:
        return getattr(self._make(), name)
