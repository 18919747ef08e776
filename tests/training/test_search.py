"""A search never repeats a point, can be stored and resumed, and depends on its seed alone."""

from __future__ import annotations

import math

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mainspring.core.errors import Conflict, Invalid
from mainspring.training.search import SearchState, ask, plan, start, survivors, tell

SPACE = {"depth": [2, 4, 8], "rate": [0.1, 0.2], "loss": ["a", "b"]}

spaces = st.dictionaries(
    st.sampled_from("abcdef"),
    st.lists(st.integers(0, 50), min_size=1, max_size=6, unique=True),
    min_size=1,
    max_size=5,
)


@settings(deadline=None)
@given(spaces, st.integers(1, 60), st.integers(0, 1000))
def test_points_are_distinct_and_of_the_space(
    space: dict[str, list[int]], trials: int, seed: int
) -> None:
    """As many points as asked or as exist, none twice, the key order without influence."""
    points = plan(space, trials=trials, seed=seed)
    size = math.prod(len(values) for values in space.values())
    assert len(points) == min(trials, size)
    assert len({tuple(point.items()) for point in points}) == len(points)
    assert all(point[name] in space[name] for point in points for name in space)
    assert points == plan(dict(reversed(space.items())), trials=trials, seed=seed)


def test_a_small_space_is_the_whole_grid_in_order() -> None:
    """Enough trials for all: nothing is left to chance."""
    points = plan(SPACE, trials=12, seed=1)
    assert points == plan(SPACE, trials=99, seed=2)
    assert points[0] == {"depth": 2, "loss": "a", "rate": 0.1}
    assert points[-1] == {"depth": 8, "loss": "b", "rate": 0.2}


def test_every_point_is_as_likely() -> None:
    """Over 3,000 seeds each of 12 points is among the first drawn about as often."""
    first = [tuple(plan(SPACE, trials=3, seed=seed)[0].items()) for seed in range(3_000)]
    counts = [first.count(point) for point in set(first)]
    assert len(counts) == 12
    assert all(180 < count < 320 for count in counts)


def test_a_huge_space_costs_nothing() -> None:
    """10^18 points are sampled without being listed; beyond 2^62 it is refused."""
    space = {f"p{n:02}": list(range(10)) for n in range(18)}
    assert len(plan(space, trials=50, seed=0)) == 50
    with pytest.raises(Invalid, match="more than"):
        plan({**space, "q": list(range(10))}, trials=50, seed=0)


def test_ask_and_tell_through_json() -> None:
    """Stopped and stored after each step, the search ends with the same best trial."""
    state = start(SPACE, trials=5, seed=3, higher_is_better=True)
    assert state.best is None
    while True:
        state = msgspec.json.decode(msgspec.json.encode(state), type=SearchState)
        trial, state = ask(state)
        if trial is None:
            break
        depth = trial.parameters["depth"]
        assert isinstance(depth, int)
        state = tell(state, trial.number, float(depth))
    assert state.finished
    assert state.best is not None
    assert state.best.value == max(trial.value or 0 for trial in state.trials)


def test_failed_trials_and_late_answers() -> None:
    """A NaN is a failure, a second equal answer is harmless, another one is a conflict."""
    state = start(SPACE, trials=3, seed=3, higher_is_better=False)
    with pytest.raises(Invalid, match="never handed out"):
        tell(state, 0, 1.0)
    _, state = ask(state)
    _, state = ask(state)
    state = tell(tell(state, 1, 0.5), 0, float("nan"))
    assert tell(state, 1, 0.5) == state
    with pytest.raises(Conflict, match="another result"):
        tell(state, 1, 0.6)
    assert state.best is not None
    assert state.best.number == 1
    assert not state.finished


def test_survivors_are_the_best_share() -> None:
    """A third of six is two; of one finished trial it is that one; of none, none."""
    state = start(SPACE, trials=6, seed=1, higher_is_better=False)
    for number in range(6):
        _, state = ask(state)
        state = tell(state, number, float(number % 5))
    kept = survivors(state.trials, higher_is_better=False, keep=1 / 3)
    assert [trial.number for trial in kept] == [0, 5]
    assert len(survivors(state.trials[:1], higher_is_better=False, keep=0.1)) == 1
    assert survivors([], higher_is_better=True, keep=0.5) == []


def test_a_parameter_without_values_is_refused() -> None:
    """An empty list is a slip of the pen, not an empty search."""
    with pytest.raises(Invalid, match="'depth' has no value"):
        plan({"depth": []}, trials=1, seed=0)
    assert plan({}, trials=3, seed=0) == ()
