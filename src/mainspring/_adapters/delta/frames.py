"""Numpy columns into the engine, and its results out again, as the port documents them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from mainspring.core.errors import Invalid
from mainspring.ports.tables import Frame

Array = np.ndarray[Any, Any]
_TEXT = frozenset({str, type(None)})


def into_engine(frame: Frame) -> dict[str, Array]:
    """The columns in the few types that the engine reads without guessing.

    Errors: ``tables.schema_mismatch`` for columns of several lengths, of more than one dimension,
    or of Python objects other than text or bytes.
    """
    columns = {name: _column(name, np.asarray(values)) for name, values in frame.items()}
    lengths = sorted({len(values) for values in columns.values()})
    if len(lengths) != 1:
        raise Invalid(
            "tables.schema_mismatch",
            "The columns of a frame must have one length." if columns else "A frame needs columns.",
            hint=f"Found lengths {lengths}." if columns else "Give at least one named array.",
        )
    return columns


def _column(name: str, values: Array) -> Array:
    kind = values.dtype.kind
    if values.ndim != 1 or kind not in "biufUSMO":
        raise _mismatch(name, f"an array of {values.dtype} with {values.ndim} dimensions")
    if isinstance(values, np.ma.MaskedArray):
        return _column(name, _plain(values))
    if kind in "iu":
        if kind == "u" and values.size and values.max() > np.iinfo(np.int64).max:
            raise _mismatch(name, "an integer beyond 64 bits with sign")
        return values.astype(np.int64, copy=False)
    if kind == "f":
        return values.astype(np.float64, copy=False)
    if kind == "M":
        return values.astype("datetime64[us]", copy=False)
    if kind in "US":
        return values.astype(object)
    return _texts(name, values) if kind == "O" else values


def _texts(name: str, values: Array) -> Array:
    types = set(map(type, values))
    if types <= _TEXT or types <= {bytes, type(None)}:
        return values
    if types <= _TEXT | {float, np.str_}:  # NaN stands for a missing text in many libraries
        texts = [value if isinstance(value, str) else None for value in values]
        if all(isinstance(v, str) or v is None or math.isnan(v) for v in values):
            return np.array(texts, dtype=object)
    raise _mismatch(
        name, "objects other than text: " + ", ".join(sorted(t.__name__ for t in types))
    )


def _mismatch(name: str, what: str) -> Invalid:
    return Invalid(
        "tables.schema_mismatch",
        f"Column {name!r} holds {what}.",
        hint="Give an array of integers, floats, booleans, texts or datetime64.",
        column=name,
    )


def from_engine(result: Mapping[str, Array]) -> dict[str, Array]:
    """The engine's columns with nulls as the port has them, and no masks."""
    return {name: _plain(values) for name, values in result.items()}


def _plain(values: Array) -> Array:
    kind = values.dtype.kind
    mask = np.ma.getmaskarray(values) if isinstance(values, np.ma.MaskedArray) else None
    data: Array = np.asarray(values.data if isinstance(values, np.ma.MaskedArray) else values)
    if mask is not None and not mask.any():
        mask = None
    if kind in "iub":
        whole = data if kind == "b" else data.astype(np.int64, copy=False)
        return whole if mask is None else np.where(mask, np.nan, whole.astype(np.float64))
    if kind == "f":
        floats = data.astype(np.float64, copy=False)
        return floats if mask is None else np.where(mask, np.nan, floats)
    if kind == "M":
        moments = data.astype("datetime64[us]", copy=False)
        return moments if mask is None else np.where(mask, np.datetime64("NaT", "us"), moments)
    if mask is not None:
        data = data.copy()
        data[mask] = None
    if data.size and any(isinstance(value, bytearray) for value in data):
        data = np.array([bytes(v) if v is not None else None for v in data], dtype=object)
    return data
