"""Rows as scikit-learn takes them: a matrix of numbers, one of objects, or a data frame.

Which one a model was fitted on is stored beside it in ``sklearn.json``. Only the last needs pandas.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from mainspring.core.schema import Signature
from mainspring.serving.refusals import extra_missing, unreadable

Array = NDArray[np.float64]
Layout = Literal["numbers", "objects", "frame"]
LAYOUT_FILE: Final = "sklearn.json"
UNKNOWN: Final = ""  # what a model is given for a category that is unknown or null


class Call(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the estimator is asked: with which rows, for a probability or a value."""

    layout: Layout
    output: Literal["probability", "value"]


def read_call(files: Mapping[str, bytes]) -> Call:
    """What ``sklearn.json`` says. Errors: ``serving.package_unreadable``."""
    try:
        return msgspec.json.decode(files.get(LAYOUT_FILE, b""), type=Call)
    except msgspec.MsgspecError as error:
        raise unreadable(LAYOUT_FILE, str(error)) from error


def layout_of(model: Any, signature: Signature) -> Layout:
    """What the model was fitted on: names mean a data frame, categories mean objects."""
    if getattr(model, "feature_names_in_", None) is not None:
        return "frame"
    texts = any(column.type == "category" for column in signature.inputs)
    return "objects" if texts else "numbers"


def ask(model: Any, call: Call, columns: Mapping[str, NDArray[Any]]) -> Array:
    """One number per row."""
    rows = _table(columns, call.layout)
    with np.errstate(over="ignore"):  # estimators that count in 32 bits say so by an error
        return _asked(model, call, rows)


def _asked(model: Any, call: Call, rows: Any) -> Array:
    if call.output == "probability":
        return np.ascontiguousarray(model.predict_proba(rows)[:, -1], dtype=np.float64)
    return np.ascontiguousarray(np.ravel(model.predict(rows)), dtype=np.float64)


class Texts:
    """Turns encoded rows back into columns with texts."""

    def __init__(self, signature: Signature) -> None:
        self._columns = [
            # Code -1 picks the last one.
            (one.name, np.array([*one.categories, UNKNOWN], dtype=object))
            if one.type == "category"
            else (one.name, None)
            for one in signature.inputs
        ]

    def columns(self, inputs: Array) -> dict[str, NDArray[Any]]:
        """Shapes: (n, inputs) in; (n,) each out."""
        return {
            name: inputs[:, place] if texts is None else texts[inputs[:, place].astype(np.intp)]
            for place, (name, texts) in enumerate(self._columns)
        }


def _table(columns: Mapping[str, NDArray[Any]], layout: Layout) -> Any:
    if layout == "numbers":
        return np.column_stack([np.asarray(one, dtype=np.float64) for one in columns.values()])
    if layout == "objects":
        rows = len(next(iter(columns.values())))
        table = np.empty((rows, len(columns)), dtype=object)
        for place, column in enumerate(columns.values()):
            table[:, place] = column
        return table
    try:
        import pandas as pd
    except ImportError as error:
        raise extra_missing("pandas", "pandas") from error
    return pd.DataFrame(dict(columns))
