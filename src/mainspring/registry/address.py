"""How a model version is named in one word: ``late/3``, ``late@champion``, ``late``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from mainspring.core.errors import Invalid
from mainspring.registry.names import MAX_VERSION, check_alias, check_model_name

_NUMBER: Final = re.compile(r"[1-9][0-9]{0,9}\Z")


@dataclass(frozen=True, slots=True)
class Address:
    """A model, and at most one of a version's number and an alias; neither means the newest."""

    name: str
    number: int | None = None
    alias: str | None = None

    def __str__(self) -> str:
        if self.number is not None:
            return f"{self.name}/{self.number}"
        return f"{self.name}@{self.alias}" if self.alias is not None else self.name


def parse_address(text: str) -> Address:
    """The address that ``NAME/VERSION``, ``NAME@alias``, ``NAME/latest`` or ``NAME`` stands for.

    Errors: ``registry.bad_address``, ``registry.bad_name``, ``registry.bad_alias``.

    Example:
        >>> parse_address("late@champion")
        Address(name='late', number=None, alias='champion')
    """
    name, slash, number = text.rpartition("/")
    if slash:
        if number == "latest":
            return Address(check_model_name(name))
        if not _NUMBER.match(number) or int(number) > MAX_VERSION:
            raise Invalid(
                "registry.bad_address",
                f"{text[:80]!r} does not name a model version.",
                hint="Write NAME/VERSION with a whole number, or NAME@alias.",
                address=ascii(text[:80]),
            )
        return Address(check_model_name(name), number=int(number))
    name, at, alias = text.rpartition("@")
    if at:
        return Address(check_model_name(name), alias=check_alias(alias))
    return Address(check_model_name(text))
