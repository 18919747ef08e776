"""Who does something: a person, a service of ours, or a token acting for one of them."""

from __future__ import annotations

from typing import Literal

import msgspec


class Actor(msgspec.Struct, frozen=True):
    """An identity as the record carries it. ``name`` is unique among actors of its ``kind``."""

    name: str
    kind: Literal["person", "service", "token"] = "person"

    def __str__(self) -> str:
        return f"{self.kind}:{self.name}"


SYSTEM = Actor("mainspring", "service")
