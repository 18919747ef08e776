"""Who may pick the variant that answers: a right of its own, for it goes around the split."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from mainspring._entrypoints._http.doors import Doors
from mainspring._entrypoints._http.routing import Permission
from mainspring.core.errors import Denied

VARIANT_HEADER: Final = "x-mainspring-variant"
CHOOSE: Final[Permission] = ("variants", "choose")


def admit(doors: Doors, headers: Mapping[str, str]) -> None:
    """Nothing, or an error: who asks may ask, and may pick a variant if that is asked too.

    Errors: ``http.unauthenticated``, ``http.not_allowed``.
    """
    actor = doors.admit(None, dict(headers))
    who = doors.authenticator
    if VARIANT_HEADER in headers and who is not None and not who.allows(actor, CHOOSE):
        raise Denied(
            "http.not_allowed",
            f"{actor.name} may not choose variants.",
            hint="Leave the header X-Mainspring-Variant out, or ask an administrator for the role.",
            resource=CHOOSE[0],
            verb=CHOOSE[1],
        )
