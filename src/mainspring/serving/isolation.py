"""Which models have a process of their own: what such a model does to its process, it does to no other.

A champion has proved itself and answers in the gateway's own process, which is the fastest. What
has not (a canary, and what only gets copies) may crash in native code, and then takes nobody along.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from mainspring.serving.ports import Runtime
from mainspring.serving.traffic import Role

Place = Literal["here", "apart", "behind"]
_UNPROVEN: Final = frozenset({"canary", "reference"})


@dataclass(frozen=True, slots=True)
class Places:
    """The runtimes for each place where a model may be.

    ``here``: in the gateway's process. ``apart``: in a process of its own, with as much of the
    machine as others have. ``behind``: that too, but held back, for copies that nobody waits for.
    None: such models are here as well. ``everyone``: champions are apart too.
    """

    here: Mapping[str, Runtime]
    apart: Mapping[str, Runtime] | None = None
    behind: Mapping[str, Runtime] | None = None
    everyone: bool = False

    def place(self, role: Role) -> Place:
        """Where the model of a variant in this role is."""
        if role == "shadow":
            return "behind"
        return "apart" if self.everyone or role in _UNPROVEN else "here"

    def runtimes(self, place: Place) -> Mapping[str, Runtime]:
        """What loads a model there."""
        there = {"here": self.here, "apart": self.apart, "behind": self.behind}[place]
        return self.here if there is None else there
