"""The runtime ``torch``: an exported program (``program.json``, ``weights.bin``), one thread.

The program's steps are run one after the other by this file: PyTorch does the arithmetic, and is
asked for nothing but operators that :mod:`operators` names. It reads no file.

Inputs are fed as the program takes them: one tensor (rows, all inputs); or one tensor per input, by
name, (rows,) or (rows, 1); or one of all numbers and one (int64) of all categories, each in the order
of the signature. A category is its code, -1 for unknown and null; a null number is NaN.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mainspring._adapters.torch.binding import Bound, bind, tensors_of
from mainspring._adapters.torch.program import (
    HEAD,
    PROGRAM_FILE,
    WEIGHTS_FILE,
    Input,
    Program,
    read_program,
)
from mainspring.core.errors import Invalid
from mainspring.core.schema import Signature
from mainspring.registry.plan import Plan
from mainspring.serving.refusals import extra_missing, unreadable

Array = NDArray[np.float64]
Feed = Callable[[Array], NDArray[Any]]

# What PyTorch raises on rows or programs that do not fit; NotImplementedError is a RuntimeError.
_FAILURES: Final = (RuntimeError, IndexError, TypeError, ValueError, OverflowError, AttributeError)


class TorchRuntime:
    """Reads ``program.json`` with ``weights.bin``."""

    name = "torch"
    steady = True

    def load(
        self,
        files: Mapping[str, bytes],
        signature: Signature,
        plan: Plan | None = None,  # noqa: ARG002 - nothing in these files needs trust
    ) -> Exported:
        """The program, its operators looked up.

        Errors: ``serving.package_unsafe`` for an operator that is not reviewed,
        ``serving.package_unreadable``, ``serving.extra_missing``.
        """
        for file in (PROGRAM_FILE, WEIGHTS_FILE):
            if file not in files:
                raise unreadable(file, "it is not in the package")
        weights = files[WEIGHTS_FILE]
        if not weights.startswith(HEAD):
            raise unreadable(WEIGHTS_FILE, "it holds no tensors")
        program = read_program(files[PROGRAM_FILE], len(weights))
        feeds = feeds_of(program, signature)
        try:
            import torch
        except ImportError as error:
            raise extra_missing("PyTorch", "torch") from error
        return Exported(torch, program, weights, feeds)


class Exported:
    """A program whose operators are found and whose tensors are in memory."""

    def __init__(self, torch: Any, program: Program, weights: bytes, feeds: list[Feed]) -> None:
        self._torch = torch
        self._feeds = feeds
        self._most_rows = program.most_rows
        self._bound: Bound = bind(torch, program)
        self._held = tensors_of(torch, program, weights)

    def predict(self, inputs: Array) -> Array:
        """One number per row. Shapes: (n, inputs) in, (n,) out."""
        most = self._most_rows or max(1, len(inputs))
        torch = self._torch
        try:
            with torch.inference_mode():
                # A thread's own number; training in the same process wants its own back.
                threads = torch.get_num_threads()
                torch.set_num_threads(1)
                try:
                    parts = [
                        self._part(inputs[at : at + most]) for at in range(0, len(inputs), most)
                    ]
                finally:
                    torch.set_num_threads(threads)
        except _FAILURES as error:
            raise failed(error) from error
        if len(parts) == 1:
            return parts[0]
        return np.concatenate(parts) if parts else np.empty(0)

    def _part(self, inputs: Array) -> Array:
        with np.errstate(over="ignore"):  # a number beyond 32 bits is infinite to the program
            fed = [self._torch.from_numpy(feed(inputs)) for feed in self._feeds]
        answer = self._bound.run([*fed, *self._held])
        if answer.shape not in {(len(inputs),), (len(inputs), 1)}:
            raise ValueError(f"it answers {len(inputs)} rows with the shape {tuple(answer.shape)}")
        # A copy: an answer may be one of the program's own tensors.
        found: Array = answer.detach().reshape(-1).to(self._torch.float64).numpy().copy()
        return found


def failed(error: Exception) -> Invalid:
    """Rows that the program cannot take."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return Invalid(
        "serving.prediction_failed",
        f"PyTorch could not predict: {lines[0][:300].rstrip('.')}.",
        hint="Compare the model's signature with the rows that were sent.",
    )


def feeds_of(program: Program, signature: Signature) -> list[Feed]:
    """How to make each of the program's inputs from encoded rows.

    Errors: ``serving.package_unreadable`` when they are not those of the signature.
    """
    columns = signature.inputs
    names = {column.name: place for place, column in enumerate(columns)}
    every = list(range(len(columns)))
    numbers = [place for place in every if columns[place].type == "number"]
    codes = [place for place in every if columns[place].type == "category"]
    inputs = program.inputs
    if len(inputs) == 1 and inputs[0].width == len(columns):
        return [_feed(inputs[0], every)]
    if {one.name for one in inputs} == set(names) and all(one.width in {None, 1} for one in inputs):
        return [_feed(one, [names[one.name]]) for one in inputs]
    if len(inputs) == len(columns) == 1 and inputs[0].width is None:
        return [_feed(inputs[0], every)]
    kinds = {one.dtype == "int64": one for one in inputs}
    if len(inputs) == len(kinds) == 2 and [kinds[False].width, kinds[True].width] == [  # noqa: PLR2004 - numbers and codes
        len(numbers),
        len(codes),
    ]:
        return [_feed(one, codes if one.dtype == "int64" else numbers) for one in inputs]
    takes = ", ".join(f"{one.name[:40]} ({one.width or 'one'} wide)" for one in inputs[:20])
    raise unreadable(PROGRAM_FILE, f"it takes {takes}, which are not the {len(columns)} inputs")


def _feed(one: Input, places: list[int]) -> Feed:
    number = np.dtype(one.dtype)
    if one.width is None:
        places_or_one: Any = places[0]
    elif places == list(range(len(places))):
        places_or_one = slice(0, len(places))
    else:
        places_or_one = places

    def feed(inputs: Array) -> NDArray[Any]:
        values = inputs[:, places_or_one]
        if number.kind == "i" and not np.isfinite(values).all():
            raise ValueError(
                f"{one.name!r} is missing in a row, and the program takes whole numbers"
            )
        return np.array(values, dtype=number, order="C")

    return feed
