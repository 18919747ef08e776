"""What DuckDB and delta-rs say when something goes wrong, as errors of the port."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import duckdb
from deltalake.exceptions import CommitFailedError, DeltaError, SchemaMismatchError

from mainspring._adapters.delta.fence import bad_query
from mainspring.core.errors import Conflict, Invalid, MainspringError, NotFound, Unavailable

_FULL: Final = re.compile(
    r"No space left|os error (28|122|27)\b|Disk quota|File too large", re.IGNORECASE
)
_GONE: Final = re.compile(
    r"No such file|No files found|cannot open file|Object.*not found", re.IGNORECASE
)
_CREATED: Final = re.compile(r"table already exists", re.IGNORECASE)  # by another process
_FROM_ENGINE: Final = re.compile(
    r"((?:Invalid Input|Conversion|Out of Range|Binder|Parser|Catalog|IO|Permission|Invalid Type"
    r"|Mismatch Type|Constraint|Not implemented|Out of Memory) Error: .*)",
    re.DOTALL,
)


class CommitLostError(Exception):
    """Another writer was first; whoever may try again, does."""


@contextmanager
def translated(sql: str, *, name: str = "") -> Iterator[None]:
    """Runs a block of engine calls, with their errors in the port's words."""
    try:
        yield
    except duckdb.Error as error:
        raise engine_error(str(error), sql) from error
    except CommitFailedError as error:
        raise CommitLostError(str(error)) from error
    except SchemaMismatchError as error:
        raise Invalid(
            "tables.schema_mismatch", f"The rows do not fit: {error}", table=name
        ) from error
    except (DeltaError, OSError) as error:
        if _CREATED.search(str(error)):
            raise CommitLostError(str(error)) from error
        raise _store_error(str(error), sql, name) from error
    except UnicodeEncodeError as error:
        raise bad_query(f"a text is not valid Unicode ({error.reason}).", sql) from error
    except Exception as error:
        # arro3 and delta-rs raise bare Exceptions for Arrow's own troubles, and nothing else does.
        if type(error) is not Exception:
            raise
        raise engine_error(str(error), sql) from error


def _store_error(text: str, sql: str, name: str) -> MainspringError:
    inner = _FROM_ENGINE.search(text)
    if inner:
        return engine_error(inner[1], sql)
    if _FULL.search(text):
        return full()
    if "failed validation check" in text:
        return Invalid(
            "tables.schema_mismatch",
            f"Rows written to {name!r} with replace_where do not all match its condition.",
            hint="Filter the rows by the same condition.",
            table=name,
        )
    if _GONE.search(text):
        return version_gone(name, None)
    return bad_query(text.split("\n   0:", maxsplit=1)[0], sql)


def engine_error(text: str, sql: str) -> MainspringError:
    """An error of the query engine."""
    if _FULL.search(text):
        return full()
    if "Out of Memory" in text:
        return Unavailable(
            "tables.out_of_memory",
            "The query needs more memory than the engine was given.",
            hint="Raise the memory limit, or ask for fewer rows or groups at a time.",
            engine_error=text[:500],
        )
    if text.startswith("IO Error") and _GONE.search(text):
        return version_gone("", None)
    return bad_query(text.split("\n\nLINE 1:", maxsplit=1)[0] if len(text) > 3000 else text, sql)  # noqa: PLR2004


def full() -> Unavailable:
    return Unavailable(
        "tables.full",
        "The disk that holds the tables is full; nothing was written.",
        hint="Free some space ('mainspring gc' shows what can go); then try again.",
    )


def version_gone(name: str, version: int | None) -> NotFound:
    which = "That version" if version is None else f"Version {version}"
    return NotFound(
        "tables.version_gone",
        f"{which} of table {name!r} is not there, or no longer whole.",
        hint="It may have been vacuumed; use a version that was kept, or the newest.",
        table=name,
        version=version,
    )


def not_found(name: str) -> NotFound:
    return NotFound(
        "tables.not_found",
        f"There is no table {name!r}.",
        hint="Its first append makes it.",
        table=name,
    )


def conflict(name: str, why: str) -> Conflict:
    return Conflict(
        "tables.conflict",
        f"Another writer changed table {name!r} at the same time; nothing was written.",
        hint="Read it again and repeat the write.",
        table=name,
        reason=why[:300],
    )
