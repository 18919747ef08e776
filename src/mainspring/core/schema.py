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


class InputColumn(msgspec.Struct, frozen=True):
    """One input of a model. A category carries the values it was trained on, in code order.

    A value that is not among ``categories`` has code -1, as has null; models treat it as missing.
    """

    name: str
    type: Literal["number", "category"]
    categories: tuple[str, ...] = ()


class Signature(msgspec.Struct, frozen=True):
    """What a model takes and gives: one row of inputs in, one number out.

    ``probability`` is the chance of the positive class; ``value`` is in the target's own unit.
    """

    inputs: tuple[InputColumn, ...]
    output: Literal["probability", "value"]
