"""Steps with their operators looked up in PyTorch, ready to run."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from mainspring._adapters.torch import recurrent
from mainspring._adapters.torch.operators import (
    NUMBER_OPERATORS,
    ONLY_WHEN_OFF,
    SCRIPT_ONLY,
    SIZES,
    TENSOR_OPERATORS,
)
from mainspring._adapters.torch.program import (
    PROGRAM_FILE,
    Program,
    Ref,
    Single,
    Step,
    Unwritten,
    Value,
    Word,
    singles,
    unknown_operator,
)
from mainspring.core.errors import Invalid
from mainspring.serving.refusals import unreadable, unsafe

_KINDS: Final = re.compile("ScalarType|Layout|MemoryFormat|Device|QScheme|Generator|Storage|Stream")
_TENSORS: Final = frozenset({"Tensor", "List[Tensor]"})


@dataclass(frozen=True, slots=True)
class Call:
    """One operator; arguments that are made by steps before are filled in from their places."""

    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    named: dict[str, Any]
    fill: tuple[tuple[int | str, Any], ...]
    results: tuple[int, ...]
    several: bool
    done_with: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Bound:
    """All calls, and where the answer will be."""

    calls: tuple[Call, ...]
    places: int
    output: int

    def run(self, given: Sequence[Any]) -> Any:
        """The answer to inputs and tensors in their order; what PyTorch raises is raised."""
        values: list[Any] = [*given, *([None] * (self.places - len(given)))]
        for call in self.calls:
            arguments, named = list(call.arguments), call.named
            if call.fill:
                named = dict(named)
                for at, source in call.fill:
                    found = _filled(source, values)
                    if isinstance(at, int):
                        arguments[at] = found
                    else:
                        named[at] = found
            answer = call.function(*arguments, **named)
            if call.several:
                for place, one in zip(call.results, answer, strict=True):
                    values[place] = one
            elif call.results:
                values[call.results[0]] = answer
            for place in call.done_with:
                values[place] = None
        return values[self.output]


@dataclass(frozen=True, slots=True)
class _List:
    """A list with places in it; the others are as they stand."""

    items: tuple[tuple[bool, Any], ...]


def _filled(source: Any, values: list[Any]) -> Any:
    if isinstance(source, _List):
        return [values[one] if is_place else one for is_place, one in source.items]
    return values[source]


def bind(torch: Any, program: Program) -> Bound:
    """The program's steps as calls. Errors: ``serving.package_unsafe``, ``..unreadable``."""
    names = [one.name for one in program.inputs] + list(program.tensors)
    places = {name: place for place, name in enumerate(names)}
    kept = len(places)
    for step in program.steps:
        for name in step.results:
            places[name] = len(places)
    last: dict[int, int] = {}
    for number, step in enumerate(program.steps):
        for place in [*_places(step, places), *(places[name] for name in step.results)]:
            last[place] = number
    done: list[list[int]] = [[] for _ in program.steps]
    for place, number in last.items():
        if place >= kept and place != places[program.output]:
            done[number].append(place)
    calls = tuple(
        _call(torch, step, places, tuple(done[number])) for number, step in enumerate(program.steps)
    )
    return Bound(calls, len(places), places[program.output])


def tensors_of(torch: Any, program: Program, weights: bytes) -> list[Any]:
    """The program's tensors, in memory of their own: the package's bytes stay as they are."""
    found = []
    for tensor in program.tensors.values():
        raw = bytearray(weights[tensor.offset : tensor.offset + tensor.size_bytes])
        dtype = getattr(torch, tensor.dtype)
        flat = torch.frombuffer(raw, dtype=dtype) if raw else torch.zeros(0, dtype=dtype)
        found.append(flat.reshape(tensor.shape))
    return found


def _places(step: Step, places: dict[str, int]) -> list[int]:
    return [places[one.name] for one in singles(step) if isinstance(one, Ref)]


def _call(torch: Any, step: Step, places: dict[str, int], done: tuple[int, ...]) -> Call:
    where: dict[int | str, Value]
    if step.operator in NUMBER_OPERATORS:
        function: Any = NUMBER_OPERATORS[step.operator]
        where = dict(enumerate(step.arguments.values()))
    else:
        function = _operator(torch, step)
        where = _arranged(function, step)
        name, overload = step.operator.split(".")[1:]
        if name in recurrent.GATES:
            if overload != recurrent.OVERLOAD or len(where) != len(_schema(function).arguments):
                raise unknown_operator(PROGRAM_FILE, step.operator)
            function = recurrent.checked(name, function)
    arguments: list[Any] = [None] * sum(isinstance(at, int) for at in where)
    named: dict[str, Any] = {}
    fill: list[tuple[int | str, Any]] = []
    for at, value in where.items():
        source = _source(torch, value, places)
        if source is not None:
            fill.append((at, source))
        elif isinstance(at, int):
            arguments[at] = _constant(torch, value)
        else:
            named[at] = _constant(torch, value)
    results = tuple(places[name] for name in step.results)
    return Call(function, tuple(arguments), named, tuple(fill), results, step.several, done)


def _operator(torch: Any, step: Step) -> Any:
    """The one overload of a reviewed operator; it changes nothing that it is given."""
    _, name, overload = step.operator.split(".")
    if name not in TENSOR_OPERATORS:
        raise unknown_operator(PROGRAM_FILE, step.operator)
    packet = getattr(torch.ops.aten, name, None)
    if packet is None or overload not in packet.overloads():
        raise unreadable(
            PROGRAM_FILE, f"this PyTorch ({torch.__version__}) has no operator {step.operator!r}"
        )
    found = getattr(packet, overload)
    kinds = {str(one.type) for one in _schema(found).returns}
    if overload.startswith(SCRIPT_ONLY) or not (name in SIZES or kinds <= _TENSORS):
        raise unknown_operator(PROGRAM_FILE, step.operator)
    switch = ONLY_WHEN_OFF.get(name)
    random = torch.Tag.nondeterministic_seeded in found.tags and switch is None
    if _schema(found).is_mutable or random:
        raise unsafe(PROGRAM_FILE, f"{step.operator!r} changes what it is given, or is random")
    if switch is not None and step.arguments.get(switch, _default(found, switch)):
        raise not_off(step.operator, switch)
    return found


def _schema(function: Any) -> Any:
    return function._schema  # noqa: SLF001 - the only place where PyTorch tells it


def _default(function: Any, argument: str) -> Any:
    for one in _schema(function).arguments:
        if one.name == argument:
            return one.default_value if one.has_default_value() else True
    return False


def not_off(operator: str, switch: str) -> Invalid:
    """The refusal of a program that was exported as it trains."""
    return unreadable(
        PROGRAM_FILE,
        f"{operator!r} has {switch!r} on; call model.eval() before torch.export.export",
    )


def _arranged(function: Any, step: Step) -> dict[int | str, Value]:
    """Each argument with its position in the operator's schema, or its name behind a gap."""
    arguments = _schema(function).arguments
    unknown = set(step.arguments) - {one.name for one in arguments}
    if unknown:
        raise unreadable(PROGRAM_FILE, f"{step.operator!r} has no {min(unknown)[:80]!r}")
    where: dict[int | str, Value] = {}
    gap = False
    for at, one in enumerate(arguments):
        gap = gap or one.kwarg_only or one.name not in step.arguments
        if one.name in step.arguments:
            value = step.arguments[one.name]
            # A number given for a kind of number is taken for one unchecked, and ends the process.
            if _KINDS.search(str(one.real_type)) and not (value is None or isinstance(value, Word)):
                raise unreadable(PROGRAM_FILE, f"{step.operator!r} is given no {one.name!r}")
            where[one.name if gap else at] = value
    return where


def _source(torch: Any, value: Value, places: dict[str, int]) -> Any:
    """Where a value comes from, when a step before makes it or a part of it."""
    if isinstance(value, Ref):
        return places[value.name]
    if isinstance(value, tuple) and any(isinstance(one, Ref) for one in value):
        return _List(
            tuple(
                (True, places[one.name]) if isinstance(one, Ref) else (False, _single(torch, one))
                for one in value
            )
        )
    return None


def _constant(torch: Any, value: Value) -> Any:
    if isinstance(value, tuple):
        return [_single(torch, one) for one in value]
    return _single(torch, value)


def _single(torch: Any, value: Single) -> Any:
    if isinstance(value, Word):
        return getattr(torch, value.name)
    if isinstance(value, Unwritten):
        return float(value.name)
    return value
