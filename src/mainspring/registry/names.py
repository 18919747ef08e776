"""What models, aliases, tags and package files may be called.

Two doors, one rule each. A name typed at our own doors (project file, command line) is a
``core.names`` name. The registry itself takes what MLflow clients send: any name without ``/``
and ``:``, in Unicode normal form C, and treats names that differ only in case or compatibility
form as one (``docs/decisions/registry-names.md``).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from typing import Final

from mainspring.core.errors import Invalid

MAX_MODEL_NAME: Final = 256
MAX_ALIAS: Final = 255
MAX_TAG_KEY: Final = 250
MAX_TAG_VALUE: Final = 100_000
MAX_TEXT: Final = 100_000
MAX_PATH: Final = 200
MAX_PACKAGE_FILES: Final = 1_000
MAX_VERSION: Final = 2**31 - 1

_ALIAS = re.compile(r"[\w-]+\Z")
_VERSION_LIKE = re.compile(r"[vV][0-9]+\Z")
_SEGMENT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*\Z")
# Control, format (bidirectional marks too), surrogate, private and unassigned characters, and
# line and paragraph separators: none can be seen, all can deceive.
_UNSEEN: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def check_model_name(name: str) -> str:
    """The name in normal form C, once it can be an address.

    Errors: ``registry.bad_name`` for an empty or over-long name, ``/`` or ``:`` in it, unseen
    characters, spaces at an end, ``.`` and ``..``.
    """
    name = unicodedata.normalize("NFC", name) if len(name) <= MAX_MODEL_NAME else name
    fault = _name_fault(name)
    if fault:
        raise Invalid(
            "registry.bad_name",
            f"{name[:80]!r} is not a model name: {fault}.",
            hint="Use up to 256 visible characters without '/' and ':'.",
            name=ascii(name[:80]),
        )
    return name


def _name_fault(name: str) -> str:
    if not 0 < len(name) <= MAX_MODEL_NAME:
        return "it must have 1 to 256 characters"
    if "/" in name or ":" in name:
        return "'/' and ':' separate it from a version and a type"
    if any(unicodedata.category(letter) in _UNSEEN for letter in name):
        return "it holds a character that cannot be seen"
    if name != name.strip() or name in {".", ".."}:
        return "it starts or ends with a space, or is a folder's own name"
    return ""


def name_key(name: str) -> str:
    """What two names share when they would be taken for each other: case and width aside."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())


def check_alias(alias: str) -> str:
    """The alias itself.

    Errors: ``registry.bad_alias`` unless it is letters, digits, ``_`` and ``-``; ``latest`` and
    ``v<digits>`` are addresses of their own.
    """
    bad = not _ALIAS.match(alias) or len(alias) > MAX_ALIAS
    if bad or alias.lower() == "latest" or _VERSION_LIKE.match(alias):
        raise Invalid(
            "registry.bad_alias",
            f"{alias[:80]!r} is not an alias.",
            hint="Use letters, digits, '_' and '-'; not 'latest' and not 'v' with a number.",
            alias=ascii(alias[:80]),
        )
    return alias


def check_text(what: str, text: str, *, longest: int = MAX_TEXT) -> str:
    """The text itself, once both databases can hold it.

    Errors: ``registry.bad_text`` when it is too long, holds NUL or half a surrogate pair.
    """
    fault = ""
    if len(text) > longest:
        fault = f"has {len(text)} characters, the limit is {longest}"
    elif "\x00" in text or any("\ud800" <= letter <= "\udfff" for letter in text):
        fault = "holds a character that cannot be stored"
    if fault:
        raise Invalid(
            "registry.bad_text",
            f"The {what} {fault}.",
            hint="Keep long texts in an artifact and name it here.",
            what=what,
        )
    return text


def check_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """The tags themselves, each key and value within the limits."""
    for key, value in tags.items():
        if not key:
            raise Invalid("registry.bad_text", "A tag needs a key.", hint="Name the tag.")
        check_text("tag key", key, longest=MAX_TAG_KEY)
        check_text("tag value", value, longest=MAX_TAG_VALUE)
    return dict(tags)


def check_package_paths(paths: Iterable[str]) -> None:
    """Nothing, when the paths are safe to write under any folder of any file system.

    A leading dot is refused because model signing does not cover ``.git*`` files: unsigned bytes
    could hide there. Twins in case are refused because some disks keep only one of them.

    Errors: ``registry.bad_path`` naming the first path at fault.
    """
    seen: dict[str, str] = {}
    for path in paths:
        fault = _path_fault(path) or _twin_fault(path, seen)
        if fault or len(seen) >= MAX_PACKAGE_FILES:
            raise Invalid(
                "registry.bad_path",
                f"{path[:80]!r} cannot be in a package: {fault or 'there are too many files'}.",
                hint="Use relative paths of letters, digits, '.', '_' and '-', at most 1000 files.",
                path=ascii(path[:80]),
            )
        seen[path.lower()] = path


def _path_fault(path: str) -> str:
    if not 0 < len(path) <= MAX_PATH:
        return f"a path has 1 to {MAX_PATH} characters"
    if not all(_SEGMENT.match(part) for part in path.split("/")):
        return "a part of it is empty, starts with a dot or dash, or holds other characters"
    if any(part.endswith(".") for part in path.split("/")):
        return "a part of it ends with a dot"
    return ""


def _twin_fault(path: str, seen: Mapping[str, str]) -> str:
    lower = path.lower()
    if lower in seen:
        return f"{seen[lower]!r} differs from it only in case"
    parents = [lower[:at] for at, letter in enumerate(lower) if letter == "/"]
    if any(parent in seen for parent in parents):
        return "a file and a folder would have the same name"
    if any(other.startswith(lower + "/") for other in seen):
        return "a file and a folder would have the same name"
    return ""
