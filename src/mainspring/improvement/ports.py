"""Where challenges are kept."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from mainspring.improvement.machine import Challenge, Move
from mainspring.ports.database import Reader, Transaction


class ChallengeStore(Protocol):
    """Challenges by endpoint. At most one of an endpoint is open at a time (a unique index)."""

    def open(
        self,
        tx: Transaction,
        *,
        endpoint: str,
        model: str,
        trigger: str,
        champion: int,
        now: datetime,
    ) -> Challenge:
        """A new challenge in state ``requested``. Errors: ``improvement.already_open``."""
        ...

    def move(self, tx: Transaction, challenge: Challenge, move: Move, now: datetime) -> Challenge:
        """The challenge in its next state. Errors: ``improvement.moved_meanwhile``."""
        ...

    def current(self, reader: Reader, endpoint: str) -> Challenge | None:
        """The open challenge of an endpoint."""
        ...

    def last(self, reader: Reader, endpoint: str) -> Challenge | None:
        """The newest challenge of an endpoint, open or not."""
        ...

    def list(self, reader: Reader, endpoint: str, *, limit: int) -> list[Challenge]:
        """Challenges, newest first."""
        ...
