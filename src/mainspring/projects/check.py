"""Every way in which plain values differ from the sections that they should fill.

``msgspec.convert`` stops at the first difference; a person who writes a file wants all of them,
with the nearest spelling. So the values are walked here beside the same types, and ``convert``
has the last word afterwards.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Iterator
from functools import cache
from typing import Any, Final

import msgspec
from msgspec import inspect

from mainspring.core.document import Path, dotted
from mainspring.core.durations import parse_duration
from mainspring.core.errors import Invalid
from mainspring.core.names import did_you_mean
from mainspring.core.spec import DURATION_PATTERN
from mainspring.projects.flaws import Flaw

_MAX_INTEGER: Final = 2**63 - 1
_MAX_TYPED: Final = 128  # a longer word is no misspelling
_AT = re.compile(r"(.*) - at `(?:key in )?\$(.*)`", re.DOTALL)


def check_value(value: Any, kind: type) -> Iterator[Flaw]:
    """Each flaw of a plain value (dicts, lists, scalars) against a section type, in file order."""
    yield from _check(value, _type_info(kind), ())


@cache
def _type_info(kind: type) -> inspect.Type:
    return inspect.type_info(kind)  # walks all sections: worth doing once


def _check(value: Any, kind: inspect.Type, path: Path) -> Iterator[Flaw]:
    told = ""
    while isinstance(kind, inspect.Metadata):
        told = (kind.extra_json_schema or {}).get("description", told)
        kind = kind.type
    if isinstance(kind, inspect.UnionType):
        yield from _check_union(value, kind, path)
    elif isinstance(kind, inspect.StructType):
        yield from _check_section(value, kind, path)
    elif isinstance(kind, inspect.DictType):
        yield from _check_table(value, kind, path)
    elif isinstance(kind, inspect.ListType | inspect.VarTupleType):
        yield from _check_list(value, kind, path)
    else:
        yield from _check_scalar(value, kind, path, told)


def _check_section(value: Any, kind: inspect.StructType, path: Path) -> Iterator[Flaw]:
    if not isinstance(value, dict):
        yield _wrong_type(value, kind, path)
        return
    fields = {field.encode_name: field for field in kind.fields}
    missing = [name for name, field in fields.items() if field.required and name not in value]
    for key, item in value.items():
        if key in fields:
            yield from _check(item, fields[key].type, (*path, key))
        else:
            yield _unknown_key(key, path, set(fields))
    for name in missing:
        yield Flaw(
            "project.missing_key",
            (*path, name),
            f"Missing; {_where(path)} needs {name!r}: {expected(fields[name].type)}.",
        )


def _unknown_key(key: str, path: Path, known: set[str]) -> Flaw:
    hint = f"Known: {', '.join(sorted(known))}."
    if len(key) <= _MAX_TYPED:
        close = did_you_mean(key, known)
        hint = close if close == hint else f"{close} {hint}"
    return Flaw("project.unknown_key", (*path, key), f"Unknown key in {_where(path)}.", hint)


def _check_table(value: Any, kind: inspect.DictType, path: Path) -> Iterator[Flaw]:
    if not isinstance(value, dict):
        yield _wrong_type(value, kind, path)
        return
    for key, item in value.items():
        yield from _check(key, kind.key_type, (*path, key))
        yield from _check(item, kind.value_type, (*path, key))


def _check_list(
    value: Any, kind: inspect.ListType | inspect.VarTupleType, path: Path
) -> Iterator[Flaw]:
    if not isinstance(value, list):
        yield _wrong_type(value, kind, path)
        return
    if len(value) < (kind.min_length or 0):
        yield Flaw("project.out_of_range", path, f"Needs at least {kind.min_length} element(s).")
    for index, item in enumerate(value):
        yield from _check(item, kind.item_type, (*path, index))


def _check_union(value: Any, kind: inspect.UnionType, path: Path) -> Iterator[Flaw]:
    """The flaws against the one alternative whose Python type fits, else against all."""
    found: list[list[Flaw]] = []
    for each in kind.types:
        flaws = list(_check(value, each, path))
        if not flaws:
            return
        found.append(flaws)
    same = [flaws for flaws in found if flaws[0].code != "project.wrong_type"]
    if len(same) == 1:
        yield from same[0]
        return
    code = "project.bad_value" if same else "project.wrong_type"
    yield Flaw(code, path, f"Expected {expected(kind)}, not {shown(value)}.")


def _check_scalar(value: Any, kind: inspect.Type, path: Path, told: str) -> Iterator[Flaw]:
    if not _fits(value, kind):
        yield _wrong_type(value, kind, path)
    elif isinstance(kind, inspect.LiteralType):
        if value not in kind.values:
            words = {str(word) for word in kind.values}
            hint = did_you_mean(str(value)[:_MAX_TYPED], words)
            yield Flaw(
                "project.bad_value", path, f"Expected {expected(kind)}, not {shown(value)}.", hint
            )
    elif isinstance(kind, inspect.StrType):
        yield from _check_text(value, kind, path, told)
    elif isinstance(kind, inspect.IntType | inspect.FloatType):
        yield from _check_number(value, kind, path)


def _check_text(value: str, kind: inspect.StrType, path: Path, told: str) -> Iterator[Flaw]:
    if len(value) < (kind.min_length or 0):
        wanted = "must not be empty" if not value else f"needs {kind.min_length} characters"
        yield Flaw("project.out_of_range", path, f"The text {wanted}.", _sentence(told))
    elif kind.max_length is not None and len(value) > kind.max_length:
        yield Flaw(
            "project.out_of_range", path, f"The text has more than {kind.max_length} characters."
        )
    elif kind.pattern and not re.search(kind.pattern, value):
        wanted = f"Not allowed: {shown(value)}."
        yield Flaw("project.bad_pattern", path, wanted, f"Expected: {_sentence(told)}")
    elif kind.pattern and DURATION_PATTERN in kind.pattern and value[:1].isdigit():
        try:
            parse_duration(value)
        except Invalid as error:
            yield Flaw("project.out_of_range", path, error.message, error.hint)


def _check_number(
    value: float, kind: inspect.IntType | inspect.FloatType, path: Path
) -> Iterator[Flaw]:
    limits = (
        ("at least", kind.ge, operator.ge),
        ("more than", kind.gt, operator.gt),
        ("at most", kind.le, operator.le),
        ("less than", kind.lt, operator.lt),
    )
    if abs(value) > _MAX_INTEGER if isinstance(value, int) else not math.isfinite(value):
        yield Flaw("project.out_of_range", path, f"Expected a finite number, not {shown(value)}.")
        return
    for words, limit, holds in limits:
        if limit is not None and not holds(value, limit):
            message = f"Expected {expected(kind)}, {words} {limit:g}, not {shown(value)}."
            yield Flaw("project.out_of_range", path, message)


def _fits(value: Any, kind: inspect.Type) -> bool:
    if isinstance(kind, inspect.NoneType):
        return value is None
    if isinstance(kind, inspect.BoolType):
        return isinstance(value, bool)
    if isinstance(kind, inspect.IntType):
        return isinstance(value, int) and not isinstance(value, bool)
    if isinstance(kind, inspect.FloatType):
        return isinstance(value, int | float) and not isinstance(value, bool)
    return isinstance(value, str)


def _wrong_type(value: Any, kind: inspect.Type, path: Path) -> Flaw:
    hint = ""
    if isinstance(kind, inspect.ListType | inspect.VarTupleType) and isinstance(value, str):
        hint = "Put it in square brackets."
    elif isinstance(kind, inspect.StrType) and isinstance(value, int | float):
        hint = "Put it in double quotes."
    elif _fits_unquoted(value, kind):
        hint = "Write it without quotes."
    return Flaw("project.wrong_type", path, f"Expected {expected(kind)}, not {shown(value)}.", hint)


def _fits_unquoted(value: Any, kind: inspect.Type) -> bool:
    if not isinstance(value, str) or not isinstance(
        kind, inspect.IntType | inspect.FloatType | inspect.BoolType
    ):
        return False
    return bool(re.fullmatch(r"true|false|[-+]?[0-9]{1,18}(\.[0-9]{1,18})?", value))


def expected(kind: inspect.Type) -> str:
    """What a type takes, in words: ``a list of text``, ``'time' or 'hash'``."""
    if isinstance(kind, inspect.Metadata):
        return expected(kind.type)
    if isinstance(kind, inspect.UnionType):
        words = [expected(each) for each in kind.types if not isinstance(each, inspect.NoneType)]
        return " or ".join(dict.fromkeys(words))
    if isinstance(kind, inspect.LiteralType):
        return " or ".join(repr(word) for word in kind.values)
    if isinstance(kind, inspect.ListType | inspect.VarTupleType):
        return f"a list of {expected(kind.item_type)}"
    if isinstance(kind, inspect.StrType) and kind.pattern == DURATION_PATTERN:
        return "a length of time such as '2h'"
    return _WORDS.get(type(kind), "another value")


_WORDS: Final[dict[type, str]] = {
    inspect.StructType: "a table",
    inspect.DictType: "a table",
    inspect.StrType: "text",
    inspect.IntType: "a whole number",
    inspect.FloatType: "a number",
    inspect.BoolType: "true or false",
}


def shown(value: Any) -> str:
    """A value as a message may show it: short, and by its kind when it has parts."""
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int) and abs(value) > _MAX_INTEGER:
        return "a number beyond 64 bits"
    return repr(value[:80]) if isinstance(value, str) else repr(value)


def _where(path: Path) -> str:
    return f"[{dotted(path)}]" if path else "the file"


def _sentence(told: str) -> str:
    return told if not told or told.endswith((".", "?")) else f"{told}."


def last_word(error: msgspec.ValidationError) -> Flaw:
    """The flaw that ``msgspec.convert`` itself found; what the walk above does not know."""
    found = _AT.fullmatch(str(error))
    message, where = (found[1], found[2]) if found else (str(error), "")
    path = tuple(
        int(index) if index else name
        for name, index in re.findall(r"\.([A-Za-z0-9_-]+)|\[(\d+)\]", where)
    )
    return Flaw("project.bad_value", path, f"{message}.")
