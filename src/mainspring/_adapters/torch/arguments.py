"""PyTorch's arguments of one call, in our words; what a program has no use for is refused."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Final

from mainspring._adapters.torch.archive import FILE
from mainspring._adapters.torch.operators import is_known
from mainspring._adapters.torch.program import (
    Ref,
    Single,
    Step,
    Unwritten,
    Value,
    Word,
    unknown_operator,
)
from mainspring._adapters.torch.schema import MEMORY, NUMBERS, STRIDED, NamedArgument, Node
from mainspring.core.errors import Invalid
from mainspring.serving.refusals import unreadable, unsafe

CPU: Final = "cpu"
_TENSORS: Final = "torch.ops.aten."
# Where a tensor lies is ours to say: in plain memory.
_OURS: Final = frozenset({"device", "pin_memory", "non_blocking"})
_CODE: Final = {
    "as_graph": "a program inside (a branch or a loop over data)",
    "as_custom_obj": "an object of a class of its own",
    "as_operator": "an operator as an argument",
}


def step_of(node: Node) -> Step:
    """The step that a node is. Errors: ``serving.package_unreadable``, ``..package_unsafe``."""
    name = node.target
    if name.startswith(_TENSORS):
        name = "aten." + name.removeprefix(_TENSORS)
    if not is_known(name):
        raise unknown_operator(FILE, name)
    arguments: dict[str, Value] = {}
    for one in node.inputs:
        if one.name in arguments:
            raise unreadable(FILE, f"{name[:80]!r} has an argument twice")
        if one.name in _OURS:
            _refuse_elsewhere(one)
        else:
            arguments[one.name] = _value(one.arg)
    results, several = _results(node.outputs)
    return Step(name, arguments, results, several)


def only(union: Any) -> tuple[str, Any]:
    """The kind and the value of a union."""
    if not isinstance(union, dict) or len(union) != 1:
        raise unreadable(FILE, "a value in its graph is of two kinds, or of none")
    ((kind, value),) = union.items()
    return kind, value


def part(value: Any, key: str) -> Any:
    """What an object in the graph holds under a key; None when it does not."""
    return value.get(key) if isinstance(value, dict) else None


def name_of(value: Any) -> str:
    """The name that a tensor argument holds."""
    name = part(value, "name")
    if not isinstance(name, str):
        raise unreadable(FILE, "a tensor in its graph has no name")
    return name


def elsewhere(device: Any) -> Invalid:
    """The refusal of a program for other devices than the processor."""
    return unreadable(
        FILE,
        f"it was exported for the device {str(device)[:40]!r}; export it on 'cpu' "
        "(torch.export.passes.move_to_device_pass)",
    )


def _refuse_elsewhere(argument: NamedArgument) -> None:
    kind, value = only(argument.arg)
    device = part(value, "type")
    if kind == "as_device" and device != CPU:
        raise elsewhere(device)


def _results(outputs: list[dict[str, Any]]) -> tuple[tuple[str, ...], bool]:
    kinds = [only(one) for one in outputs]
    if len(kinds) == 1 and kinds[0][0] == "as_tensors":
        return tuple(name_of(one) for one in kinds[0][1]), True
    return tuple(_result(kind, value) for kind, value in kinds), len(kinds) > 1


def _result(kind: str, value: Any) -> str:
    if kind == "as_tensor":
        return name_of(value)
    if kind in {"as_sym_int", "as_sym_float", "as_sym_bool"}:
        found = _symbol(value)
        if isinstance(found, Ref):
            return found.name
    raise unreadable(FILE, f"a step answers with {kind[:40]!r}")


def _value(union: Any) -> Value:
    kind, value = only(union)
    if kind in _CODE:
        raise unsafe(FILE, f"it holds {_CODE[kind]}")
    if kind in _LISTS:
        if not isinstance(value, list):
            raise unreadable(FILE, f"{kind!r} is no list")
        return tuple(_LISTS[kind](one) for one in value)
    if kind in _ALONE:
        return _ALONE[kind](value)
    raise unreadable(FILE, f"an argument is {kind[:40]!r}, which is not supported")


def _whole(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise unreadable(FILE, f"{str(value)[:40]!r} is no whole number")
    return value


def _truth(value: Any) -> bool:
    if not isinstance(value, bool):
        raise unreadable(FILE, f"{str(value)[:40]!r} is no truth")
    return value


def _number(value: Any) -> float | Unwritten:
    names: Mapping[Any, Any] = {"Infinity": "inf", "-Infinity": "-inf", "NaN": "nan"}
    if isinstance(value, str) and value in names:
        return Unwritten(names[value])
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
        raise unreadable(FILE, f"{str(value)[:40]!r} is no number")
    return float(value)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise unreadable(FILE, "a text in its graph is none")
    return value


def _tensor(value: Any) -> Ref:
    return Ref(name_of(value))


def _symbol(value: Any) -> Single:
    kind, inner = only(value)
    if kind == "as_name":
        return Ref(_text(inner))
    if kind not in {"as_int", "as_float", "as_bool"}:
        raise unreadable(FILE, f"a size in its graph is {kind[:40]!r}")
    return _ALONE[kind](inner)


def _maybe(value: Any) -> Ref | None:
    kind, inner = only(value)
    return _tensor(inner) if kind == "as_tensor" else None


def _none(value: Any) -> Single:
    del value
    return None


def _word(words: Mapping[int, str]) -> Callable[[Any], Word]:
    def read(value: Any) -> Word:
        if _whole(value) not in words:
            raise unreadable(FILE, f"{value} is no kind of number or layout that is supported")
        return Word(words[value])

    return read


_ALONE: Final[Mapping[str, Callable[[Any], Single]]] = {
    "as_none": _none,
    "as_tensor": _tensor,
    "as_optional_tensor": _maybe,
    "as_int": _whole,
    "as_float": _number,
    "as_bool": _truth,
    "as_string": _text,
    "as_sym_int": _symbol,
    "as_sym_float": _symbol,
    "as_sym_bool": _symbol,
    "as_scalar_type": _word(NUMBERS),
    "as_memory_format": _word(MEMORY),
    "as_layout": _word({STRIDED: "strided"}),
}
_LISTS: Final[Mapping[str, Callable[[Any], Single]]] = {
    "as_tensors": _tensor,
    "as_optional_tensors": _maybe,
    "as_ints": _whole,
    "as_floats": _number,
    "as_bools": _truth,
    "as_sym_ints": _symbol,
    "as_sym_floats": _symbol,
    "as_sym_bools": _symbol,
}
