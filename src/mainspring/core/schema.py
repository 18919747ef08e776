"""Columns and their types, as datasets, signatures and wires share them."""

from __future__ import annotations

from typing import Literal

import msgspec

ColumnType = Literal["boolean", "integer", "number", "string", "timestamp", "date", "binary"]


class Column(msgspec.Struct, frozen=True):
    """One column: 64-bit integers and floats, UTC timestamps to the microsecond."""

    name: str
    type: ColumnType
    nullable: bool = True


class Schema(msgspec.Struct, frozen=True):
    """Columns in order; names are unique."""

    columns: tuple[Column, ...]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)
