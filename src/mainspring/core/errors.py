"""Every error that Mainspring raises on purpose.

::

    MainspringError                 what went wrong, in words a newcomer can act on
    ├── Invalid      (ValueError)         the caller sent something that can never work
    ├── Denied       (PermissionError)    the caller may not do this
    ├── NotFound     (LookupError)        the thing named does not exist
    ├── Conflict     (RuntimeError)       it exists, but its state forbids this now
    ├── Unavailable  (ConnectionError)    something needed is away; trying again may help
    ├── TimedOut     (TimeoutError)       it took longer than it was given
    └── Broken       (RuntimeError)       stored bytes or an invariant are not what they must be

A stable dotted ``code`` says *which* error (``registry.version_not_found``), the class says what
*kind* it is; entry points translate the kind and nothing else.
"""

from __future__ import annotations

from typing import ClassVar, Literal

Kind = Literal["invalid", "denied", "not_found", "conflict", "unavailable", "timeout", "broken"]
Fact = str | int | float | bool | None | list[str]


class MainspringError(Exception):
    """An error with a stable code, the facts of the case and a hint what to do next.

    ``message`` is one sentence for a person, ``facts`` are the same particulars for a program,
    ``hint`` names the next step (a command, a key, an extra to install).
    """

    kind: ClassVar[Kind] = "broken"

    def __init__(self, code: str, message: str, *, hint: str = "", **facts: Fact) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint
        self.facts = facts

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()

    def as_dict(self) -> dict[str, object]:
        """The error as every JSON answer carries it: code, kind, message, hint, facts."""
        return {
            "code": self.code,
            "kind": self.kind,
            "message": self.message,
            "hint": self.hint,
            "facts": self.facts,
        }


class Invalid(MainspringError, ValueError):
    """The caller sent something that can never work; sending it again will not help."""

    kind = "invalid"


class Denied(MainspringError, PermissionError):
    """The caller is known (or unknown) and may not do this."""

    kind = "denied"


class NotFound(MainspringError, LookupError):
    """The thing named does not exist."""

    kind = "not_found"


class Conflict(MainspringError, RuntimeError):
    """The thing exists, but its present state forbids this."""

    kind = "conflict"


class Unavailable(MainspringError, ConnectionError):
    """Something needed is away (a service, a disk, an optional package)."""

    kind = "unavailable"


class TimedOut(MainspringError, TimeoutError):
    """It took longer than it was given."""

    kind = "timeout"


class Broken(MainspringError, RuntimeError):
    """Stored bytes or an invariant are not what they must be; nothing was changed."""

    kind = "broken"
