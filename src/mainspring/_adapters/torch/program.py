"""A program as a package keeps it: ``program.json``, and its numbers in ``weights.bin``.

The graph is a list of steps, each one operator on values that steps before it made. Nothing in it is
looked up but in our list of operators, and nothing is evaluated. ``weights.bin`` is 64 bytes of head,
then each tensor's numbers (little-endian, without gaps) at a multiple of 64.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final, Literal

import msgspec

from mainspring._adapters.torch.operators import is_known
from mainspring.core.errors import Invalid
from mainspring.serving.refusals import unreadable

PROGRAM_FILE: Final = "program.json"
WEIGHTS_FILE: Final = "weights.bin"
ALIGNED_BYTES: Final = 64
HEAD: Final = b"mainspring tensors 1\n".ljust(ALIGNED_BYTES, b"\0")
VERSION: Final = 1

ITEM_BYTES: Final = {
    "bool": 1, "uint8": 1, "int8": 1, "int16": 2, "int32": 4, "int64": 8,
    "float16": 2, "bfloat16": 2, "float32": 4, "float64": 8,
}  # fmt: skip
LAYOUTS: Final = frozenset(
    {"strided", "contiguous_format", "preserve_format", "channels_last", "channels_last_3d"}
)
FED: Final = ("float32", "float64", "int64")
_MOST_DIMENSIONS: Final = 16
_LARGEST: Final = 2**63


class Ref(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="is", tag="value"):
    """What a step before, an input, or a tensor of the program is called."""

    name: str


class Word(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="is", tag="word"):
    """A number type or memory layout, by PyTorch's name for it."""

    name: str


class Unwritten(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="is", tag="number"
):
    """A number that JSON has no form for."""

    name: Literal["inf", "-inf", "nan"]


Single = None | bool | int | float | str | Ref | Word | Unwritten
Value = None | bool | int | float | str | Ref | Word | Unwritten | tuple[Single, ...]


class Input(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A tensor that is fed: shape (rows,), or (rows, ``width``)."""

    name: str
    dtype: Literal["float32", "float64", "int64"]
    width: int | None = None


class Tensor(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A tensor of the program, at so many bytes from the start of ``weights.bin``."""

    dtype: str
    shape: tuple[int, ...]
    offset: int

    @property
    def size_bytes(self) -> int:
        return math.prod(self.shape) * ITEM_BYTES[self.dtype]


class Step(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One operator; ``several``: it answers with a sequence, whose items have these names."""

    operator: str
    arguments: dict[str, Value]
    results: tuple[str, ...]
    several: bool = False


class Program(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The whole of it. ``most_rows``: how many rows it may be asked at once, if there is a bound."""

    version: int = VERSION
    torch: str
    inputs: tuple[Input, ...]
    tensors: dict[str, Tensor]
    steps: tuple[Step, ...]
    output: str
    most_rows: int | None = None


def read_program(data: bytes, weights_bytes: int) -> Program:
    """The program, checked: it uses known operators, and nothing in it leads outside.

    Errors: ``serving.package_unreadable``, ``serving.package_unsafe``.
    """
    try:
        program = msgspec.json.decode(data, type=Program)
    except (msgspec.MsgspecError, RecursionError, ValueError) as error:
        raise unreadable(PROGRAM_FILE, str(error)) from error
    check_program(program, weights_bytes)
    return program


def check_program(program: Program, weights_bytes: int) -> None:
    """Nothing, or an error: see :func:`read_program`."""
    if program.version != VERSION:
        raise unreadable(PROGRAM_FILE, f"version {program.version} is not known")
    if program.most_rows is not None and program.most_rows < 1:
        raise unreadable(PROGRAM_FILE, "it may not be asked for a single row")
    for name, tensor in program.tensors.items():
        _check_tensor(name, tensor, weights_bytes)
    names = [one.name for one in program.inputs]
    known = {*names, *program.tensors}
    if not names or len(known) != len(names) + len(program.tensors):
        raise unreadable(PROGRAM_FILE, "its inputs have no names of their own")
    for step in program.steps:
        if not is_known(step.operator):
            raise unknown_operator(PROGRAM_FILE, step.operator)
        for one in singles(step):
            _check_single(one, known)
        if known & set(step.results) or len(set(step.results)) != len(step.results):
            raise unreadable(PROGRAM_FILE, f"{step.operator[:80]!r} names a result that is there")
        known |= set(step.results)
    if program.output not in known:
        raise unreadable(PROGRAM_FILE, "no step makes its output")


def unknown_operator(file: str, name: str) -> Invalid:
    """The refusal of a program that asks for something beside arithmetic, or for dice."""
    return Invalid(
        "serving.package_unsafe",
        f"{file} is not opened: it uses the operator {name[:80]!r}, which is not reviewed.",
        hint="Export the model without it (in evaluation mode), or as a graph by "
        "torch.onnx.export.",
        file=file,
    )


def _check_tensor(name: str, tensor: Tensor, weights_bytes: int) -> None:
    if tensor.dtype not in ITEM_BYTES or len(tensor.shape) > _MOST_DIMENSIONS:
        raise unreadable(PROGRAM_FILE, f"the tensor {name[:80]!r} is of no known kind")
    inside = (
        all(0 <= one < _LARGEST for one in tensor.shape)
        and tensor.offset >= len(HEAD)
        and tensor.offset % ALIGNED_BYTES == 0
        and tensor.offset + tensor.size_bytes <= weights_bytes
    )
    if not inside:
        raise unreadable(PROGRAM_FILE, f"the tensor {name[:80]!r} lies outside of {WEIGHTS_FILE}")


def singles(step: Step) -> Iterator[Single]:
    """Every value in a step's arguments, those of lists one by one."""
    for value in step.arguments.values():
        if isinstance(value, tuple):
            yield from value
        else:
            yield value


def _check_single(value: Single, known: set[str]) -> None:
    if isinstance(value, Ref) and value.name not in known:
        raise unreadable(PROGRAM_FILE, f"{value.name[:80]!r} is used before it is made")
    if isinstance(value, Word) and value.name not in ITEM_BYTES and value.name not in LAYOUTS:
        raise unreadable(PROGRAM_FILE, f"{value.name[:80]!r} is no kind of number")
    if isinstance(value, int) and abs(value) >= _LARGEST:
        raise unreadable(PROGRAM_FILE, "a number in it has more than 64 bits")
