"""A small search over a discrete space: seeded, without repeats, and pure ask and tell.

The state is a value. Store it, and a search that stopped goes on where it was, on any machine.

Source: Bergstra and Bengio (2012) for random search; Jamieson and Talwalkar (2016) for halving.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from msgspec import Struct, structs

from mainspring.core.errors import Conflict, Invalid

Choice = float | int | str
Parameters = dict[str, Choice]
_LARGEST: Final = 2**62


class Trial(Struct, frozen=True, kw_only=True):
    """One point of the space; ``value`` is None while it runs, or when it failed."""

    number: int
    parameters: Parameters
    done: bool = False
    value: float | None = None


class SearchState(Struct, frozen=True, kw_only=True):
    """All that is planned, asked and told."""

    trials: tuple[Trial, ...]
    asked: int
    higher_is_better: bool

    @property
    def best(self) -> Trial | None:
        """The best finished trial; the earlier one of equals; None before the first."""
        return next(iter(ranked(self.trials, higher_is_better=self.higher_is_better)), None)

    @property
    def finished(self) -> bool:
        """Whether every trial has been told."""
        return all(trial.done for trial in self.trials)


def plan(
    space: Mapping[str, Sequence[Choice]], *, trials: int, seed: int
) -> tuple[Parameters, ...]:
    """Points to try: the whole grid in order when it is small enough, else a sample of it.

    Without repeats; independent of the order of the mapping's keys. A longer plan of the same
    seed does not start with the shorter one.

    Errors: ``training.empty_space``, ``training.space_too_large``.
    """
    names = sorted(space)
    for name in names:
        if not space[name]:
            raise Invalid(
                "training.empty_space",
                f"The parameter {name!r} has no value to try.",
                hint="List at least one value, or leave the parameter out.",
                parameter=name,
            )
    size = math.prod(len(space[name]) for name in names)
    if size > _LARGEST:
        raise Invalid(
            "training.space_too_large",
            "The search space has more than 2^62 points.",
            hint="Search fewer parameters at once.",
        )
    places = range(size) if size <= trials else _sample(size, trials, seed)
    return tuple(_point(space, names, place) for place in places) if names else ()


def _sample(size: int, count: int, seed: int) -> list[int]:
    """Distinct numbers below ``size`` in random order. Source: Floyd (1987), CACM 30(9)."""
    generator = np.random.Generator(np.random.PCG64(seed))
    chosen: dict[int, None] = {}
    for top in range(size - count, size):
        drawn = int(generator.integers(0, top + 1))
        chosen[top if drawn in chosen else drawn] = None
    return [int(place) for place in generator.permutation(np.array(list(chosen), dtype=np.int64))]


def _point(space: Mapping[str, Sequence[Choice]], names: Sequence[str], place: int) -> Parameters:
    point: Parameters = {}
    for name in reversed(names):
        place, digit = divmod(place, len(space[name]))
        point[name] = space[name][digit]
    return {name: point[name] for name in names}


def start(
    space: Mapping[str, Sequence[Choice]], *, trials: int, seed: int, higher_is_better: bool
) -> SearchState:
    """A search with nothing asked yet."""
    points = plan(space, trials=trials, seed=seed)
    numbered = tuple(Trial(number=n, parameters=point) for n, point in enumerate(points))
    return SearchState(trials=numbered, asked=0, higher_is_better=higher_is_better)


def ask(state: SearchState) -> tuple[Trial | None, SearchState]:
    """The next trial to run, or None when all are under way or done, and the new state."""
    if state.asked >= len(state.trials):
        return None, state
    return state.trials[state.asked], structs.replace(state, asked=state.asked + 1)


def tell(state: SearchState, number: int, value: float | None) -> SearchState:
    """The state with that trial's result; None or a NaN means that it failed.

    Errors: ``training.trial_not_asked``; ``training.trial_told`` for a second, other result.
    """
    if not 0 <= number < state.asked:
        raise Invalid(
            "training.trial_not_asked",
            f"Trial {number} was never handed out.",
            hint="Call 'ask' first, and tell the number it gave.",
            number=number,
        )
    known = None if value is None or not math.isfinite(value) else float(value)
    before = state.trials[number]
    if before.done and before.value != known:
        raise Conflict(
            "training.trial_told",
            f"Trial {number} already has another result.",
            hint="A trial is told once; start a new search to repeat it.",
            number=number,
        )
    told = structs.replace(before, done=True, value=known)
    trials = (*state.trials[:number], told, *state.trials[number + 1 :])
    return structs.replace(state, trials=trials)


def ranked(trials: Sequence[Trial], *, higher_is_better: bool) -> list[Trial]:
    """Finished trials that have a value, best first; the earlier one of equals first."""
    sign = -1.0 if higher_is_better else 1.0
    valued = [(sign * one.value, one.number, one) for one in trials if one.value is not None]
    return [one for _, _, one in sorted(valued, key=lambda entry: entry[:2])]


def survivors(trials: Sequence[Trial], *, higher_is_better: bool, keep: float) -> list[Trial]:
    """The best share of the finished trials, at least one: who gets the next, larger budget."""
    order = ranked(trials, higher_is_better=higher_is_better)
    return order[: max(1, math.floor(len(order) * keep + 1e-9))]
