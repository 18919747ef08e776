"""Processes that do pieces of work beside each other, on this machine or on many."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Iterable, Iterator
from typing import Final, Protocol

import msgspec

from mainspring.core.errors import (
    Broken,
    Conflict,
    Denied,
    Fact,
    Invalid,
    Kind,
    MainspringError,
    NotFound,
    TimedOut,
    Unavailable,
)

log = logging.getLogger("mainspring.compute")
_KINDS: Final[dict[Kind, type[MainspringError]]] = {
    one.kind: one for one in (Invalid, Denied, NotFound, Conflict, Unavailable, TimedOut, Broken)
}


class Compute(Protocol):
    """Does pieces of work in processes of its own.

    ``work`` names a function of bytes to bytes by its module and name (``package.module:name``),
    which every process can import. It may be called twice for a piece whose process died, so what
    it does must be safe to repeat. Native libraries have one thread in each process.
    """

    @property
    def workers(self) -> int:
        """How many pieces are worked on at once."""
        ...

    def run(self, work: str, pieces: Iterable[bytes]) -> Iterator[bytes]:
        """What each piece came to, in the order in which they end.

        Pieces are taken as workers become free, so they may be many. Who stops listening ends the
        rest. Errors: what the function raised, if it is an error of ours; ``compute.failed`` for
        any other; ``compute.worker_lost``. The first error ends the rest.
        """
        ...

    def close(self) -> None:
        """Ends the processes."""
        ...


class _Said(msgspec.Struct, frozen=True):
    """An error of another process."""

    code: str
    kind: Kind
    message: str
    hint: str = ""
    facts: dict[str, Fact] = {}


_OK: Final = b"\x00"
_ERROR: Final = b"\x01"


def done(work: str, piece: bytes) -> bytes:
    """What a worker sends back for a piece: what the function gave, or its error."""
    try:
        module, _, name = work.partition(":")
        answer: bytes = getattr(importlib.import_module(module), name)(piece)
    except MainspringError as error:
        return _ERROR + msgspec.json.encode(error.as_dict())
    except Exception as error:  # noqa: BLE001 - the process edge: whoever asked is told of a bug
        log.exception("unexpected error in %s", work)
        failed = Broken(
            "compute.failed",
            f"A worker failed: {type(error).__name__}: {str(error)[:300]}.",
            hint="Its log tells where.",
            work=work,
        )
        return _ERROR + msgspec.json.encode(failed.as_dict())
    return _OK + answer


def told(answer: bytes) -> bytes:
    """What a piece came to, from what a worker sent back. Errors: those of the piece."""
    if answer[:1] == _OK:
        return answer[1:]
    said = msgspec.json.decode(answer[1:], type=_Said)
    raise _KINDS[said.kind](said.code, said.message, hint=said.hint, **said.facts)


def worker_lost(how: str) -> Unavailable:
    """The error of a piece whose process died, more than once."""
    return Unavailable(
        "compute.worker_lost",
        f"A worker process ended in the middle of its work ({how}).",
        hint="Run it again: what was done is not done again. If it was killed for its memory, "
        "use fewer workers.",
    )
