"""Exporting a module by ``torch.export``, for any number of rows, as it answers and not as it learns."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mainspring._adapters.torch.translate import not_packable
from mainspring.core.schema import Signature

# What torch.export raises: its own errors are RuntimeErrors, those of a module's code are its own.
FAILURES: Final = (RuntimeError, ValueError, TypeError, AttributeError, AssertionError, LookupError)
_ROWS: Final = 8


def exported_module(module: Any, inputs: NDArray[np.float64], signature: Signature) -> Any:
    """The module as a program for any number of rows.

    Its ``forward`` takes one tensor of all inputs, or one per input by the inputs' names, or one of
    the numbers and then one of the categories' codes. Errors: ``serving.not_packable``.
    """
    import torch

    given = _arguments(torch, module, inputs[np.arange(_ROWS) % len(inputs)], signature)
    rows = torch.export.Dim("rows")
    try:
        with warnings.catch_warnings(), evaluating(module):
            warnings.simplefilter("ignore")  # of the library's about itself
            return torch.export.export(
                module, given, dynamic_shapes=tuple({0: rows} for _ in given)
            )
    except FAILURES as error:
        raise not_packable(
            f"PyTorch cannot export it for any number of rows: {first_line(error)}",
            "Export it yourself: torch.export.export(model.eval(), (rows,), "
            "dynamic_shapes=({0: torch.export.Dim('rows')},)), and save what it gives.",
        ) from error


@contextmanager
def evaluating(module: Any) -> Iterator[None]:
    """The module and all in it in evaluation mode, and as they were afterwards."""
    learning = [one for one in module.modules() if one.training]
    for one in learning:
        one.training = False
    try:
        yield
    finally:
        for one in learning:
            one.training = True


def first_line(error: Exception) -> str:
    """What went wrong, short."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0][:200].rstrip(".")


def _arguments(
    torch: Any, module: Any, rows: NDArray[np.float64], signature: Signature
) -> tuple[Any, ...]:
    """Rows as ``forward`` takes them, by the names and the number of its parameters."""
    columns = signature.inputs
    names = [column.name for column in columns]
    wanted = [
        one.name
        for one in inspect.signature(module.forward).parameters.values()
        if one.default is one.empty and one.kind in {one.POSITIONAL_OR_KEYWORD, one.POSITIONAL_ONLY}
    ]
    number = next((one.dtype for one in module.parameters()), torch.float32)
    values = torch.from_numpy(np.ascontiguousarray(rows))
    codes = [place for place, one in enumerate(columns) if one.type == "category"]
    numbers = [place for place, one in enumerate(columns) if one.type == "number"]
    if sorted(wanted) == sorted(names) and (len(names) > 1 or codes):
        return tuple(
            values[:, names.index(one)].to(torch.int64 if names.index(one) in codes else number)
            for one in wanted
        )
    if len(wanted) == 1:
        return (values.to(number),)
    if len(wanted) == 2 and codes and numbers:  # noqa: PLR2004 - numbers and codes
        return (values[:, numbers].to(number), values[:, codes].to(torch.int64))
    raise not_packable(
        f"its forward takes {', '.join(wanted)[:200]}, which are not the inputs",
        "Name its parameters as the columns of the sample, or take one tensor of them all.",
    )
