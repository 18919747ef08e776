"""CSV as MLflow's scoring server takes it: what pandas writes and reads, without pandas.

Source: the words that ``pandas.read_csv`` takes for a missing value unless told otherwise (its
argument ``na_values``). They are read so among numbers only: a category may be called "NA".
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any, Final

from mainspring.core.errors import Invalid
from mainspring.serving.live import LiveEndpoint

_MISSING: Final = frozenset(
    {
        "", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN",
        "<NA>", "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null",
    }
)  # fmt: skip
_BOOLEANS: Final = {"true": 1.0, "false": 0.0}


def read_csv(body: bytes, endpoint: LiveEndpoint) -> dict[str, list[Any]]:
    """The columns by name; an empty cell is a missing value, an empty line is none.

    Errors: ``serving.bad_invocation``, ``serving.bad_value``.
    """
    try:
        lines = csv.reader(io.StringIO(body.decode("utf-8-sig"), newline=""), strict=True)
        rows = [row for row in lines if row]
    except (csv.Error, UnicodeDecodeError) as error:
        raise bad_invocation(f"The body is not CSV in UTF-8: {error}") from error
    if not rows:
        raise bad_invocation("The CSV has no header line")
    named = turned(rows[0], rows[1:])
    return {
        name: [_number(name, text) for text in texts]
        if endpoint.inputs.get(name) == "number"
        else [text or None for text in texts]
        for name, texts in named.items()
    }


def _number(name: str, text: str) -> float | None:
    text = text.strip()
    if text in _MISSING:
        return None
    try:
        if "_" not in text:  # Python reads 1_000 as a thousand; nobody who writes CSV does
            return float(text)
    except ValueError:
        pass
    found = _BOOLEANS.get(text.lower())
    if found is None:
        raise bad_value(name, f"could not convert string to float: {text[:80]!r}")
    return found


def turned(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> dict[str, list[Any]]:
    """Rows as columns by name. Errors: ``serving.bad_invocation``."""
    if len(set(names)) != len(names):
        raise bad_invocation("A column is named twice")
    if any(len(row) != len(names) for row in rows):
        raise bad_invocation(f"A row does not have {len(names)} values")
    if not rows:
        return {name: [] for name in names}
    return {name: list(values) for name, values in zip(names, zip(*rows, strict=True), strict=True)}


def bad_value(name: str, why: str) -> Invalid:
    """The error for a value that an input cannot take."""
    return Invalid(
        "serving.bad_value",
        f"The input {name[:80]!r} holds a wrong value: {why[:200]}.",
        hint="Numbers are numbers or null; categories are texts or null.",
        input=name[:80],
    )


def bad_invocation(what: str) -> Invalid:
    """The error for a scoring request that is not one."""
    return Invalid(
        "serving.bad_invocation", f"{what}.", hint="See MLflow's inference server specification."
    )
