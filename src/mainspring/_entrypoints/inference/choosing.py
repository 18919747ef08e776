"""Who may pick the variant or version that answers: a right of its own, for it goes around the split."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from mainspring._entrypoints._http.doors import Doors
from mainspring._entrypoints._http.routing import Permission
from mainspring.core.errors import Denied

VARIANT_HEADER: Final = "x-mainspring-variant"
CHOOSE: Final[Permission] = ("variants", "choose")


def admit(doors: Doors, headers: Mapping[str, str], *, version: bool = False) -> None:
    """Nothing, or an error: who asks may ask, and may pick who answers if that is asked too.

    ``headers`` may be the metadata of a call; ``version``: the address or message names one.
    Errors: ``http.unauthenticated``, ``http.not_allowed``.
    """
    actor = doors.admit(None, dict(headers))
    who = doors.authenticator
    chosen = version or VARIANT_HEADER in headers
    if chosen and who is not None and not who.allows(actor, CHOOSE):
        raise Denied(
            "http.not_allowed",
            f"{actor.name} may not choose variants.",
            hint="Leave out the version and the header X-Mainspring-Variant, or ask an "
            "administrator for the role.",
            resource=CHOOSE[0],
            verb=CHOOSE[1],
        )
