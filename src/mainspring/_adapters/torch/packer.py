"""A program or module of PyTorch, as it is kept: its steps and its numbers."""

from __future__ import annotations

import io
import sys
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mainspring._adapters.torch.exporting import FAILURES, evaluating, exported_module, first_line
from mainspring._adapters.torch.program import PROGRAM_FILE, WEIGHTS_FILE, read_program
from mainspring._adapters.torch.runtime import TorchRuntime, failed, feeds_of
from mainspring._adapters.torch.translate import files_of, not_packable
from mainspring.core.errors import Invalid
from mainspring.core.schema import Signature
from mainspring.ports.tables import Frame
from mainspring.serving.ports import Form
from mainspring.training.encoding import matrix

Array = NDArray[np.float64]

_ZIP: Final = b"PK\x03\x04"
_ALONE_ROWS: Final = 8
# Alone, a row may be added up in another order than among others; it is the same to four digits.
_SAME: Final = 1e-4


@dataclass(frozen=True, slots=True)
class _Ready:
    """What was made of a model: the files, and who is asked for the model's own answers."""

    model: Any
    files: Mapping[str, bytes]
    program: Any  # an ExportedProgram; None when all there is are bytes
    original: Any


class TorchPacker:
    """Takes an ExportedProgram, a module that can be exported, or the bytes of a ``.pt2`` file."""

    def __init__(self) -> None:
        self._ready: _Ready | None = None

    def takes(self, model: object) -> bool:
        """Whether it is PyTorch's. Nobody has a module without having loaded the library."""
        if isinstance(model, bytes | bytearray):
            return bytes(model[: len(_ZIP)]) == _ZIP
        torch = sys.modules.get("torch")
        return torch is not None and (
            isinstance(model, torch.nn.Module) or type(model).__name__ == "ExportedProgram"
        )

    def answers(self, model: Any, rows: Frame, signature: Signature) -> Array:
        """The model's own answers, in evaluation mode.

        Errors: ``serving.not_packable`` when a row's answer depends on the rows beside it, when
        answers are no probabilities and should be, or when it cannot be exported.
        """
        inputs = matrix(rows, signature.inputs)
        ready = self._made(model, inputs, signature)
        found = _ask(ready, inputs, signature)
        _check_probabilities(found, signature)
        few = inputs[:_ALONE_ROWS]
        alone = np.concatenate([_ask(ready, few[at : at + 1], signature) for at in range(len(few))])
        spread = float(np.nanstd(found)) if np.isfinite(found).any() else 0.0
        if not np.allclose(alone, found[: len(few)], _SAME, _SAME * spread + 1e-9, equal_nan=True):
            raise not_packable(
                "its answer to a row depends on the rows beside it",
                "Call model.eval() before torch.export.export, and use no mean over the rows.",
            )
        return found

    def forms(self, model: Any, signature: Signature) -> tuple[Form, ...]:
        """Its steps and numbers. A graph is offered by ``torch.onnx.export``, not from here."""

        def native() -> Mapping[str, bytes]:
            return self._made(model, None, signature).files

        return (Form("native", "torch", native),)

    def thresholds(self, model: Any) -> Mapping[int, Array]:
        """None: it adds up and bends, it does not split."""
        del model
        return {}

    def _made(self, model: Any, inputs: Array | None, signature: Signature) -> _Ready:
        if self._ready is None or self._ready.model is not model:
            self._ready = _made(model, inputs, signature)
        return self._ready


def _made(model: Any, inputs: Array | None, signature: Signature) -> _Ready:
    if isinstance(model, bytes | bytearray):
        files = files_of(bytes(model))
        return _Ready(model, files, None, None)
    if type(model).__name__ == "ExportedProgram":
        return _Ready(model, _saved(model), model, model.module())
    if inputs is None:
        raise not_packable("it was not asked for answers", "Give sample rows.")
    program = exported_module(model, inputs, signature)
    return _Ready(model, _saved(program), program, model)


def _saved(program: Any) -> dict[str, bytes]:
    """The files of a program, once everything it changes is written as a value of its own."""
    import torch

    data = io.BytesIO()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the library's about itself
            torch.export.save(program.run_decompositions({}), data)
    except FAILURES as error:
        raise not_packable(
            f"PyTorch cannot save it: {first_line(error)}", "Export it again, in evaluation mode."
        ) from error
    return files_of(data.getvalue())


def _ask(ready: _Ready, inputs: Array, signature: Signature) -> Array:
    if ready.program is None:
        return TorchRuntime().load(ready.files, signature).predict(inputs)
    import torch
    from torch.utils import _pytree

    program = read_program(ready.files[PROGRAM_FILE], len(ready.files[WEIGHTS_FILE]))
    with np.errstate(over="ignore"):
        try:
            fed = [torch.from_numpy(feed(inputs)) for feed in feeds_of(program, signature)]
            given, named = _pytree.tree_unflatten(fed, ready.program.call_spec.in_spec)
            with torch.inference_mode(), evaluating(ready.original):
                answer = ready.original(*given, **named)
        except FAILURES as error:
            if isinstance(error, Invalid):
                raise
            raise failed(error) from error
    found: Array = answer.detach().reshape(-1).to(torch.float64).numpy().copy()
    return found


def _check_probabilities(found: Array, signature: Signature) -> None:
    known = found[np.isfinite(found)]
    if (
        signature.output == "probability"
        and len(known)
        and not (0 <= known.min() <= known.max() <= 1)
    ):
        raise not_packable(
            f"its answers lie between {known.min():.3g} and {known.max():.3g}, and are to be "
            "probabilities",
            "End it with a sigmoid, or save it with output='value'.",
        )
