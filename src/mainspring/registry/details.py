"""What may be said about a version when it is registered, beside its package."""

from __future__ import annotations

import msgspec

from mainspring.registry.facts import Facts
from mainspring.registry.names import check_tags, check_text
from mainspring.registry.types import Readiness


class Details(msgspec.Struct, frozen=True, kw_only=True):
    """Description, tags and the fields that MLflow clients send.

    ``key`` makes it happen once: the same key again returns the version of the first time.
    """

    description: str = ""
    tags: dict[str, str] = {}
    facts: Facts | None = None
    key: str | None = None
    run_id: str = ""
    run_link: str = ""
    source: str = ""
    logged_model_id: str = ""
    created_by: str = ""
    readiness: Readiness = "READY"


def check_details(details: Details) -> Details:
    """The details themselves, every text within the limits. Errors: ``registry.bad_text``."""
    check_text("description", details.description)
    check_tags(details.tags)
    for what in ("key", "run_id", "logged_model_id", "created_by"):
        check_text(what, getattr(details, what) or "", longest=256)
    for what in ("run_link", "source"):
        check_text(what, getattr(details, what), longest=5_000)
    return details
