"""From a ``.pt2`` archive to the two files of a package: a program and its numbers."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final, Literal, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from mainspring._adapters.torch.archive import (
    CONSTANTS,
    CONSTANTS_TABLE,
    FILE,
    GRAPH,
    WEIGHTS,
    WEIGHTS_TABLE,
    read_archive,
)
from mainspring._adapters.torch.arguments import (
    CPU,
    elsewhere,
    name_of,
    only,
    part,
    step_of,
)
from mainspring._adapters.torch.operators import STATEMENTS
from mainspring._adapters.torch.program import (
    ALIGNED_BYTES,
    HEAD,
    ITEM_BYTES,
    PROGRAM_FILE,
    WEIGHTS_FILE,
    Input,
    Program,
    Tensor,
    check_program,
)
from mainspring._adapters.torch.schema import (
    NUMBERS,
    SCHEMA_MAJOR,
    STRIDED,
    ExportedProgram,
    Payload,
    PayloadTable,
    RangeConstraint,
    TensorMeta,
)
from mainspring.core.errors import Invalid
from mainspring.serving.refusals import unreadable, unsafe

# A size that is free and nothing else, as its writer prints it: read as text, never evaluated.
_SYMBOL: Final = re.compile(r"(?:Symbol\(')?([A-Za-z_][A-Za-z0-9_]*)(?:'(?:, [a-z_]+=True)*\))?")
_TENSOR_SPECS: Final = {
    "parameter": "parameter_name",
    "buffer": "buffer_name",
    "tensor_constant": "tensor_constant_name",
}
_LARGEST: Final = 2**63
_FED: Final[dict[int, Literal["int64", "float32", "float64"]]] = {
    5: "int64", 7: "float32", 8: "float64"
}  # fmt: skip
Read = TypeVar("Read", bound=msgspec.Struct)


def files_of(archive: bytes) -> dict[str, bytes]:
    """``program.json`` and ``weights.bin`` of a ``.pt2`` file; nothing of it is executed.

    Errors: ``serving.package_unsafe`` when it holds code, ``serving.package_unreadable``, and
    ``serving.not_packable`` when it is no program that answers rows.
    """
    members = read_archive(archive)
    exported = _read(members[GRAPH], ExportedProgram)
    if exported.schema_version.major != SCHEMA_MAJOR:
        raise unreadable(FILE, f"its form {exported.schema_version.major} is not known")
    numbers = Numbers(members)
    program = _program(exported, numbers)
    weights = numbers.packed()
    check_program(program, len(weights))
    return {PROGRAM_FILE: msgspec.json.encode(program), WEIGHTS_FILE: weights}


class Numbers:
    """Collects the tensors that a program uses, each once."""

    def __init__(self, members: dict[str, bytes]) -> None:
        self._members = members
        self._weights = _read(members[WEIGHTS_TABLE], PayloadTable).config
        self._constants = _read(members[CONSTANTS_TABLE], PayloadTable).config
        for payload in (*self._weights.values(), *self._constants.values()):
            if payload.use_pickle or payload.tensor_meta is None:
                raise unsafe(FILE, f"its tensor {payload.path_name[:80]!r} is a pickle")
        self._parts: list[bytes] = [HEAD]
        self._size = len(HEAD)
        self._known: dict[bytes, Tensor] = {}

    def tensor(self, name: str) -> Tensor:
        """The tensor of that name, its numbers put beside the others'."""
        for table, folder in ((self._weights, WEIGHTS), (self._constants, CONSTANTS)):
            if name in table:
                return self._kept(table[name], folder)
        raise unreadable(FILE, f"its tensor {name[:80]!r} has no numbers")

    def packed(self) -> bytes:
        """All numbers, as ``weights.bin`` holds them."""
        return b"".join(self._parts)

    def _kept(self, payload: Payload, folder: str) -> Tensor:
        key = msgspec.json.encode((folder, payload.path_name, payload.tensor_meta))
        if key not in self._known:
            raw_or_none = self._members.get(folder + payload.path_name)
            dtype, values = _strided(payload.tensor_meta, raw_or_none)
            self._known[key] = Tensor(dtype, values.shape, self._size)
            raw = values.tobytes()
            raw += b"\0" * (-len(raw) % ALIGNED_BYTES)
            self._parts.append(raw)
            self._size += len(raw)
        return self._known[key]


def _strided(meta: TensorMeta | None, raw: bytes | None) -> tuple[str, NDArray[Any]]:
    """The numbers in their order, whatever order they were stored in."""
    dtype = NUMBERS.get(meta.dtype) if meta else None
    if raw is None or meta is None or dtype is None or meta.layout != STRIDED:
        raise unreadable(FILE, "a tensor in it has no numbers, or of a kind that is not supported")
    shape, strides = _whole(meta.sizes), _whole(meta.strides)
    (offset,) = _whole([meta.storage_offset])
    item = ITEM_BYTES[dtype]
    last = offset + sum((size - 1) * stride for size, stride in zip(shape, strides, strict=False))
    if len(shape) != len(strides) or (0 not in shape and (last + 1) * item > len(raw)):
        raise unreadable(FILE, "a tensor in it is longer than its numbers")
    flat = np.frombuffer(raw, dtype=f"V{item}", count=len(raw) // item)
    if 0 in shape:
        return dtype, np.empty([min(size, 1) for size in shape], flat.dtype).reshape(shape)
    steps = [stride * item for stride in strides]
    try:
        found = np.lib.stride_tricks.as_strided(flat[offset:], shape, steps, writeable=False)
    except ValueError as error:
        raise unreadable(FILE, str(error)) from error
    if found.nbytes > len(raw):  # a stride of nought repeats numbers: a bomb of another kind
        raise unsafe(FILE, f"{len(raw)} bytes of a tensor would become {found.nbytes}")
    return dtype, np.array(
        found, order="C"
    )  # not ascontiguousarray, which adds a dimension to none


def _whole(sizes: Iterable[dict[str, Any]]) -> tuple[int, ...]:
    found = []
    for one in sizes:
        kind, value = only(one)
        if kind != "as_int" or not isinstance(value, int) or not 0 <= value < _LARGEST:
            raise unreadable(FILE, "the size of a tensor in it is no number")
        found.append(value)
    return tuple(found)


def _program(exported: ExportedProgram, numbers: Numbers) -> Program:
    module = exported.graph_module
    output = _output(exported)
    inputs: list[Input] = []
    tensors: dict[str, Tensor] = {}
    rows: set[str] = set()
    for spec in module.signature.input_specs:
        kind, value = only(spec)
        if kind in _TENSOR_SPECS:
            name = name_of(part(value, "arg"))
            tensors[name] = numbers.tensor(str(part(value, _TENSOR_SPECS[kind])))
        elif kind == "user_input":
            name = _tensor_name(part(value, "arg"), "it takes something beside tensors")
            found, symbol = _input(name, module.graph.tensor_values.get(name))
            inputs.append(found)
            rows.add(symbol)
        else:
            raise not_packable(f"it takes {kind[:40]!r}", "Export it with tensors alone.")
    _check_answer(module.graph.tensor_values.get(output))
    steps = [
        step_of(node)
        for node in module.graph.nodes
        if node.target.removeprefix("torch.ops.aten.").split(".")[0] not in STATEMENTS
    ]
    return Program(
        torch=exported.torch_version[:80],
        inputs=tuple(inputs),
        tensors=tensors,
        steps=tuple(steps),
        output=output,
        most_rows=_bounds(exported.range_constraints, rows),
    )


def _input(name: str, meta: TensorMeta | None) -> tuple[Input, str]:
    """What is fed, and the name of its number of rows."""
    if meta is None:
        raise unreadable(FILE, f"its input {name[:80]!r} is not described")
    dtype = _FED.get(meta.dtype)
    if meta.device.type != CPU:
        raise elsewhere(meta.device.type)
    if dtype is None or not 1 <= len(meta.sizes) <= 2:  # noqa: PLR2004 - rows, and columns
        raise not_packable(
            f"its input {name[:80]!r} is no row of numbers",
            f"Take tensors of shape (rows,) or (rows, columns), of {', '.join(_FED.values())}.",
        )
    kind, size = only(meta.sizes[0])
    text = size.get("expr_str", "") if kind == "as_expr" and isinstance(size, dict) else ""
    symbol = _SYMBOL.fullmatch(text) if isinstance(text, str) else None
    if symbol is None:
        raise not_packable(
            f"its input {name[:80]!r} has a fixed number of rows ({str(text or size)[:40]})",
            "Export it for any number: torch.export.export(model, (rows,), "
            "dynamic_shapes=({0: torch.export.Dim('rows')},)), with at least two rows.",
        )
    width = _whole(meta.sizes[1:])
    return Input(name, dtype, width[0] if width else None), symbol[1]


def _output(exported: ExportedProgram) -> str:
    module = exported.graph_module
    specs = [only(one) for one in module.signature.output_specs]
    if any(kind != "user_output" for kind, _ in specs):
        kinds = sorted({kind for kind, _ in specs} - {"user_output"})
        raise not_packable(
            f"it changes what it holds or is given ({', '.join(kinds)[:200]})",
            "Call model.eval() before torch.export.export, and keep no state between rows.",
        )
    if len(specs) != 1:
        raise not_packable(f"it gives {len(specs)} answers", "Give one number per row.")
    return _tensor_name(part(specs[0][1], "arg"), "its answer is no tensor")


def _check_answer(meta: TensorMeta | None) -> None:
    """Nothing, or an error: one number per row."""
    sizes = [only(one) for one in meta.sizes] if meta else []
    alone = len(sizes) == 1 or (len(sizes) == 2 and sizes[1] == ("as_int", 1))  # noqa: PLR2004 - (n, 1)
    if not alone or sizes[0][0] != "as_expr":
        raise not_packable(
            f"its answer has {len(sizes)} dimensions, or more than one number per row",
            "Give a tensor of shape (rows,) or (rows, 1).",
        )


def _tensor_name(argument: Any, why: str) -> str:
    kind, value = only(argument)
    if kind != "as_tensor":
        raise not_packable(why, "Export it with tensors alone.")
    return name_of(value)


def _bounds(ranges: dict[str, RangeConstraint], rows: set[str]) -> int | None:
    """The most rows at once. Errors: ``serving.not_packable`` when one alone is too few."""
    known = [ranges[one] for one in sorted(rows) if one in ranges]
    least = max((one.min_val or 0 for one in known), default=0)
    if least > 1:
        raise not_packable(
            f"it takes at least {least} rows at once", "Export it with torch.export.Dim('rows')."
        )
    return min((one.max_val for one in known if one.max_val is not None), default=None)


def not_packable(why: str, hint: str) -> Invalid:
    """A program that is whole and safe, and does not answer rows one by one."""
    return Invalid("serving.not_packable", f"The program cannot be kept: {why}.", hint=hint)


def _read(data: bytes, kind: type[Read]) -> Read:
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.MsgspecError, RecursionError, ValueError) as error:
        raise unreadable(FILE, str(error)) from error
