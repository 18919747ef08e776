"""What a search found, as columns: for a program, and for the frame library of one's choice."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, Self

import msgspec

from mainspring.core.errors import Invalid

if TYPE_CHECKING:
    from mainspring.tracking.types import Run


class Frames(Protocol):
    """Columns as the tables of frame libraries.

    Errors: ``tracking.missing_extra`` when the library is not installed.
    """

    def numpy(self, columns: dict[str, list[Any]]) -> Any:
        """A dictionary of arrays."""
        ...

    def arrow(self, columns: dict[str, list[Any]]) -> Any:
        """A ``pyarrow.Table``."""
        ...

    def pandas(self, columns: dict[str, list[Any]]) -> Any:
        """A ``pandas.DataFrame``."""
        ...

    def polars(self, columns: dict[str, list[Any]]) -> Any:
        """A ``polars.DataFrame``."""
        ...


class RunTable(dict[str, list[Any]]):
    """Columns of equal length by name: ``metrics.auc``, ``params.depth``, ``tags.owner``, facts.

    What a run lacks is None; metrics are numbers, parameters and tags are texts.
    """

    frames: Frames | None = None

    @classmethod
    def of(cls, runs: Iterable[Run], frames: Frames | None = None) -> Self:
        """The columns of some runs."""
        rows = [_row(run) for run in runs]
        names = dict.fromkeys(name for row in rows for name in row)
        table = cls({name: [row.get(name) for row in rows] for name in names})
        table.frames = frames
        return table

    @property
    def height(self) -> int:
        """How many runs there are."""
        return len(self.get("run_id", ()))

    def rows(self) -> list[dict[str, Any]]:
        """One dictionary for each run."""
        return [dict(zip(self, values, strict=True)) for values in zip(*self.values(), strict=True)]

    def select(self, *names: str) -> RunTable:
        """Some columns; one that no run has is all None."""
        missing: Sequence[Any] = [None] * self.height
        table = RunTable({name: list(self.get(name, missing)) for name in names})
        table.frames = self.frames
        return table

    def numpy(self) -> Any:
        """Arrays by name: metrics as floats (NaN where missing), texts as objects."""
        return self._frames().numpy(self)

    def arrow(self) -> Any:
        """A ``pyarrow.Table``. Errors: ``tracking.missing_extra``."""
        return self._frames().arrow(self)

    def pandas(self) -> Any:
        """A ``pandas.DataFrame``. Errors: ``tracking.missing_extra``."""
        return self._frames().pandas(self)

    def polars(self) -> Any:
        """A ``polars.DataFrame``. Errors: ``tracking.missing_extra``."""
        return self._frames().polars(self)

    def _frames(self) -> Frames:
        if self.frames is None:
            raise TypeError("these columns were made without frame libraries")
        return self.frames


def _row(run: Run) -> dict[str, Any]:
    return {
        "run_id": run.id,
        "experiment_id": run.experiment_id,
        "name": run.name,
        "status": run.status,
        "start_ms": run.start_ms,
        "end_ms": run.end_ms,
        **{f"metrics.{point.key}": point.value for point in run.metrics},
        **{f"params.{key}": value for key, value in run.params.items()},
        **{f"tags.{key}": value for key, value in run.tags.items()},
    }


def table_document(table: Mapping[str, Iterable[Any]] | Iterable[Mapping[str, Any]]) -> bytes:
    """Columns of equal length, or rows, as the JSON that MLflow's ``log_table`` writes.

    Errors: ``tracking.bad_table``.
    """
    if isinstance(table, Mapping):
        names, columns = list(table), [list(column) for column in table.values()]
    else:
        rows = list(table)
        if not all(isinstance(row, Mapping) for row in rows):
            raise _bad_table("A table is columns by name, or rows that are dictionaries.")
        names = list(dict.fromkeys(name for row in rows for name in row))
        columns = [[row.get(name) for row in rows] for name in names]
    if len({len(column) for column in columns}) > 1:
        raise _bad_table("The columns of a table have different lengths.")
    data = list(zip(*columns, strict=True))
    try:
        return msgspec.json.encode({"columns": names, "data": data}, enc_hook=_scalar)
    except (TypeError, ValueError) as error:
        raise _bad_table(f"The table cannot be written as JSON ({error}).") from error


def _scalar(value: Any) -> Any:
    """A number of NumPy's, or of a library like it, as Python's own."""
    if hasattr(value, "item"):
        return value.item()
    raise TypeError(f"{type(value).__name__} is neither number nor text")


def _bad_table(message: str) -> Invalid:
    return Invalid("tracking.bad_table", message, hint="Pass {'x': [1, 2], 'y': ['a', 'b']}.")
