"""The base of every section of a project file, and the small types its values are made of."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

# "$(?!\n)": in Python "$" also matches before a last line break, in JSON Schema it does not.
DURATION_PATTERN: Final = (
    r"^[0-9]{1,15}(\.[0-9]{1,15})? *(s|m|h|d|w|seconds?|minutes?|hours?|days?|weeks?)$(?!\n)"
)

Duration = Annotated[
    str,
    msgspec.Meta(
        pattern=DURATION_PATTERN,
        description="A length of time such as '90s', '15m', '2h', '3d' or '2w'.",
        examples=["2h", "3d", "2w"],
    ),
]
Ratio = Annotated[float, msgspec.Meta(ge=0.0, le=1.0, description="A share between 0 and 1.")]
Name = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^[a-z][a-z0-9_-]{0,127}$(?!\n)",
        description="Lower-case letters, digits, '_' and '-', starting with a letter.",
    ),
]
Column = Annotated[str, msgspec.Meta(min_length=1, max_length=256, description="A column name.")]


class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A section of ``mainspring.toml``: frozen, keyword only, unknown keys refused.

    The docstring of a subclass and the ``msgspec.Meta`` descriptions of its fields become the
    JSON Schema that editors show.
    """
