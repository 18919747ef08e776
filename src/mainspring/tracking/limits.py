"""What names and values may hold, as MLflow has it, and what none may: NUL and hidden letters.

Source: mlflow/utils/validation.py of MLflow 3.17, which its clients rely on.
"""

from __future__ import annotations

import posixpath
import re
import unicodedata
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Final

from mainspring.core.errors import Invalid

MAX_METRICS: Final = 1000
MAX_PARAMS: Final = 100
MAX_TAGS: Final = 100
MAX_ENTITIES: Final = 1000
MAX_KEY: Final = 250
MAX_PARAM_VALUE: Final = 6000
MAX_TAG_VALUE: Final = 8000
MAX_EXPERIMENT_NAME: Final = 500
MAX_EXPERIMENT_TAG_VALUE: Final = 20_000
MAX_RUN_NAME: Final = 8000
MAX_PATH: Final = 2000
MAX_INT: Final = 2**63 - 1
MIN_INT: Final = -(2**63)
MAX_FLOAT: Final = 1.7976931348623157e308
DATASET_LIMITS: Final = {
    "name": 500,
    "digest": 36,
    "source_type": 36,
    "source": 65_535,
    "schema": 1_048_575,
    "profile": 16_777_215,
}
_KEY: Final = re.compile(r"[/\w.\- :]+\Z")
_RUN_ID: Final = re.compile(r"[a-zA-Z0-9][\w\-]{0,255}\Z")


def bad(what: str, fault: str, hint: str = "") -> Invalid:
    """The error for a value that can never be stored."""
    return Invalid("tracking.bad_value", f"{what} {fault}.", hint=hint)


@lru_cache(maxsize=20_000)
def check_key(key: str) -> str:
    """The key of a metric, parameter or tag, once it is fit to be one.

    Errors: ``tracking.bad_value``.
    """
    if not isinstance(key, str):
        raise bad(f"The name {key!r:.80}", "is not text", "Names of what is logged are text.")
    shown = ascii(key[:80])
    if not key or len(key) > MAX_KEY or not _KEY.match(key):
        raise bad(
            f"The name {shown}",
            "is not one for a metric, parameter or tag",
            f"Use up to {MAX_KEY} letters, digits, underscores, dashes, periods, spaces, "
            "colons and slashes.",
        )
    normal = posixpath.normpath(key)
    if normal != key or normal == "." or normal.startswith(("..", "/")):
        raise bad(f"The name {shown}", f"would be {normal!r} as a path", "Use names that differ.")
    return key


def check_run_id(run_id: str) -> str:
    """The identifier of a run. Errors: ``tracking.bad_value``."""
    if not _RUN_ID.match(run_id):
        raise bad(f"{run_id[:80]!a}", "is not the identifier of a run")
    return run_id


def check_name(what: str, name: str, limit: int) -> str:
    """A name that people read: without control and direction-changing characters.

    Errors: ``tracking.bad_value``.
    """
    if not name or len(name) > limit:
        raise bad(f"The name of {what}", f"has {len(name)} characters, 1 to {limit} are allowed")
    return check_shown(f"The name of {what}", name)


def check_shown(what: str, text: str) -> str:
    """Text of one line that pages and terminals show. Errors: ``tracking.bad_value``."""
    if any(hidden(letter) for letter in text):
        raise bad(what, "holds control or direction-changing characters")
    return text


def hidden(letter: str) -> bool:
    """Whether a letter controls what is shown, or half of one."""
    kind = unicodedata.category(letter)
    return kind in {"Cc", "Cs"} or "\u202a" <= letter <= "\u202e" or "\u2066" <= letter <= "\u2069"


def check_text(what: str, text: str) -> str:
    """Free text that can be stored: without NUL and lone surrogates. Errors: ``tracking.bad_value``."""
    if "\x00" in text:
        raise bad(what, "holds a NUL character")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise bad(what, "is not valid Unicode") from error
    return text


def check_pairs(
    what: str, pairs: Iterable[tuple[str, str]], limit: int
) -> tuple[tuple[str, str], ...]:
    """Keys and values to store; longer values are cut, as MLflow does. Errors: ``tracking.bad_value``."""
    return tuple(
        (check_key(key), check_text(f"The value of {what} {key!r}", value)[:limit])
        for key, value in pairs
    )


def check_experiment_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """An experiment's tags. Errors: ``tracking.bad_value``, also for values that are too long."""
    for key, value in tags.items():
        check_key(key)
        check_text(f"The value of tag {key!r}", value)
        if len(value) > MAX_EXPERIMENT_TAG_VALUE:
            raise bad(
                f"The value of tag {key!r}",
                f"exceeds the maximum length of {MAX_EXPERIMENT_TAG_VALUE} characters",
            )
    return dict(tags)


def check_integer(what: str, number: int, *, least: int = MIN_INT) -> int:
    """A whole number of 64 bits. Errors: ``tracking.bad_value``."""
    if not least <= number <= MAX_INT:
        raise bad(what, f"is {'negative' if number < least else 'out of range'}")
    return number


def check_artifact_uri(uri: str) -> str:
    """A location for artifacts. Errors: ``tracking.bad_value``."""
    check_text("The artifact location", uri)
    parts = re.split(r"[/\\]", uri)
    if len(uri) > MAX_PATH or ".." in parts or any(letter in uri for letter in "#?;\n\r"):
        raise bad("The artifact location", "is not a plain URI", "Leave it out for the default.")
    return uri
