"""The two ways in which every runtime says no, in one wording."""

from __future__ import annotations

from mainspring.core.errors import Invalid, Unavailable


def unreadable(file: str, why: str) -> Invalid:
    """A file of a package that cannot be a model, or is not what its package says."""
    return Invalid(
        "serving.package_unreadable",
        f"{file} cannot be read: {why}.",
        hint="Package the model again from its training run.",
        file=file,
    )


def extra_missing(library: str, extra: str) -> Unavailable:
    """A library that is not installed, with the extra that brings it."""
    return Unavailable(
        "serving.extra_missing",
        f"{library} is not installed.",
        hint=f"Install it with: pip install 'mainspring[{extra}]'.",
        extra=extra,
    )


def unsafe(file: str, why: str) -> Invalid:
    """A file that could run code, or fill memory, when it is opened; so it is not."""
    return Invalid(
        "serving.package_unsafe",
        f"{file} is not opened: {why}.",
        hint="Package the model again with 'ws.models.save', which keeps it in a safe form.",
        file=file,
    )
