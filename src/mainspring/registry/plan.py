"""How a version is executed, and what was tried before that was decided: the evidence.

A model is kept in the form that answers as the object in the hands of its training code did. Each
form was replayed on sample rows and on boundary rows; the first one inside the tolerance is taken.
"""

from __future__ import annotations

from typing import Literal

import msgspec

# One graph for the whole pipeline; the library's own file; the object itself, kept safely.
Way = Literal["onnx", "native", "original"]


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """One form that was tried. Differences are absolute, in the unit of the answer.

    ``rows_off`` are the rows whose answer lies outside the tolerance, ``flips`` those whose
    decision is another one. ``row_microseconds`` is one row alone, ``batch_microseconds`` a
    thousand rows together (medians on the machine that registered it). None: it never ran.
    """

    way: Way
    runtime: str
    accepted: bool
    why: str
    sample_rows: int = 0
    boundary_rows: int = 0
    largest_difference: float | None = None
    rows_off: int | None = None
    flips: int | None = None
    row_microseconds: float | None = None
    batch_microseconds: float | None = None


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """The way that was chosen. ``trusted`` are the types that its file may hold besides the usual.

    ``compiled`` tells whether the compiled kernel gave the library's answers to the bit.
    """

    way: Way
    why: str
    tolerance: float
    tried: tuple[Trial, ...] = ()
    trusted: tuple[str, ...] = ()
    compiled: Trial | None = None
