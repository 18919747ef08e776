"""Recurrent layers, whose kernels read where lists and shapes say without checking them.

An ``lstm`` with one state instead of two ends the process (PyTorch 2.13, found by handing operators
anything); so what it is given is checked here at each call.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

# How many matrices of the state's size each layer holds in one.
GATES: Final = {"gru": 3, "lstm": 4, "rnn_relu": 1, "rnn_tanh": 1}
OVERLOAD: Final = "input"
_CUBE: Final = 3
_MOST_LAYERS: Final = 1000


def checked(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """The operator, which refuses by ``ValueError`` what its kernel would not survive."""

    def call(*given: Any) -> Any:
        if not _fit(name, *given):
            raise ValueError(f"the layers given to {name!r} do not fit each other")
        return function(*given)

    return call


def _fit(name: str, *given: Any) -> bool:
    rows, state, weights, biased, layers, _, _, both_ways, rows_first = given
    states = state if name == "lstm" else [state]
    every = [rows, *states, *weights] if isinstance(states, list) else []
    plain = all(type(one) is bool for one in (biased, both_ways, rows_first))
    counted = type(layers) is int and 0 < layers <= _MOST_LAYERS
    if not (plain and counted and len(states) == (2 if name == "lstm" else 1)):
        return False
    if not every or {one.dtype for one in every} != {rows.dtype} or not rows.is_floating_point():
        return False
    if any(one.dim() != _CUBE for one in (rows, *states)) or 0 in rows.shape[1:]:
        return False
    size, ways = states[0].shape[2], 2 if both_ways else 1
    wanted = (layers * ways, rows.shape[0 if rows_first else 1], size)
    shapes = _shapes(GATES[name] * size, size, (rows.shape[2], size * ways), layers, ways)
    kept = shapes if biased else [one for one in shapes if len(one) > 1]
    return (
        size > 0
        and all(tuple(one.shape) == wanted for one in states)
        and [tuple(one.shape) for one in weights] == kept
    )


def _shapes(
    gates: int, size: int, inputs: tuple[int, int], layers: int, ways: int
) -> Sequence[tuple[int, ...]]:
    """The shape of each matrix and bias, in order; the first layer takes the rows."""
    found: list[tuple[int, ...]] = []
    for layer in range(layers):
        taken = inputs[min(layer, 1)]
        found += [(gates, taken), (gates, size), (gates,), (gates,)] * ways
    return found
