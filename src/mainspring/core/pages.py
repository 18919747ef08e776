"""One page of a listing and the token of the next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Page(Generic[Item]):
    """Some items and, when there are more, the opaque token that continues after them."""

    items: tuple[Item, ...]
    next_token: str | None = None
