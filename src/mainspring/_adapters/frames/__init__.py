"""Columns of runs as numpy arrays and as the tables of Arrow, pandas and Polars."""

from __future__ import annotations

import importlib
from typing import Any

from mainspring.core.errors import Unavailable

Columns = dict[str, list[Any]]
_INTEGERS = frozenset({"start_ms", "end_ms"})


class FrameLibraries:
    """The libraries, each loaded when it is asked for."""

    def numpy(self, columns: Columns) -> dict[str, Any]:
        """Metrics as float64 with NaN where missing, whole numbers as int64 (-1), texts as objects."""
        import numpy as np

        found: dict[str, Any] = {}
        for name, values in columns.items():
            if name.startswith("metrics."):
                floats = [float("nan") if value is None else value for value in values]
                found[name] = np.array(floats, dtype=np.float64)
            elif name in _INTEGERS:
                whole = [-1 if value is None else value for value in values]
                found[name] = np.array(whole, dtype=np.int64)
            else:
                found[name] = np.array(values, dtype=object)
        return found

    def arrow(self, columns: Columns) -> Any:
        """A ``pyarrow.Table``: float64, int64 and string columns, null where missing."""
        arrow = _library("pyarrow", "arrow")
        kinds = {name: getattr(arrow, _kind(name))() for name in columns}
        return arrow.table(
            {name: arrow.array(values, type=kinds[name]) for name, values in columns.items()}
        )

    def pandas(self, columns: Columns) -> Any:
        """A ``pandas.DataFrame``; whole numbers are nullable."""
        pandas = _library("pandas", "pandas")
        kinds = {"float64": "float64", "int64": "Int64", "string": "object"}
        return pandas.DataFrame(
            {
                name: pandas.Series(values, dtype=kinds[_kind(name)])
                for name, values in columns.items()
            }
        )

    def polars(self, columns: Columns) -> Any:
        """A ``polars.DataFrame``, null where missing."""
        polars = _library("polars", "polars")
        kinds = {"float64": polars.Float64, "int64": polars.Int64, "string": polars.String}
        return polars.DataFrame(
            dict(columns), schema={name: kinds[_kind(name)] for name in columns}
        )


def _kind(name: str) -> str:
    if name.startswith("metrics."):
        return "float64"
    return "int64" if name in _INTEGERS else "string"


def _library(name: str, extra: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise Unavailable(
            "tracking.missing_extra",
            f"{name} is not installed.",
            hint=f"Install it with: pip install 'mainspring[{extra}]'",
            extra=extra,
        ) from error
