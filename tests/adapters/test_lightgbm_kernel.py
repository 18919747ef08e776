"""The compiled kernel answers as LightGBM does, to the bit, or is not used."""

from __future__ import annotations

import lightgbm
import numpy as np
import pytest

from mainspring._adapters.lightgbm.compiled import Compiled, edge_rows
from mainspring._adapters.lightgbm.flat import flatten
from mainspring._adapters.lightgbm.runtime import Booster, LightgbmRuntime
from mainspring._adapters.lightgbm.trees import Uncompilable
from mainspring.core.schema import InputColumn, Signature

SIGNATURE = Signature(tuple(InputColumn(name, "number") for name in "abcd"), "probability")


def trained(*, categories=(), rounds=12, **settings):
    random = np.random.default_rng(6)
    rows = np.round(random.normal(size=(800, 4)) * 10, 1)
    rows[random.random((800, 4)) < 0.1] = np.nan
    for place in categories:
        rows[:, place] = random.integers(0, 70, 800)
    known = np.nan_to_num(rows)
    target = (known[:, 0] + known[:, 1] * (known[:, 3] % 3) > 5).astype(float)
    made = lightgbm.Dataset(rows, target, categorical_feature=list(categories))
    settings = {"objective": "binary", "verbose": -1, "num_threads": 1} | settings
    return lightgbm.train(settings, made, rounds), np.ascontiguousarray(rows)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"objective": "regression"},
        {"zero_as_missing": True},
        {"use_missing": False},
        {"categories": (2, 3)},
        {"num_leaves": 2},
        {"boosting": "dart", "drop_rate": 0.5},
        {"min_data_in_leaf": 10_000},
    ],
)
def test_the_kernel_is_equal_to_the_bit(settings):
    """At, just below and just above every threshold, at odd values, in batches of any size."""
    booster, rows = trained(**settings)
    files = {"model.txt": booster.model_to_string().encode()}
    native = LightgbmRuntime().load(files, SIGNATURE)
    fast = LightgbmRuntime(use_kernel=True).load(files, SIGNATURE)
    assert isinstance(fast, Compiled)
    edges = edge_rows(flatten(files["model.txt"], 4), 4, seed=1)
    for some in (rows, edges, rows[:1], rows[:9], rows[:64], rows[:65]):
        assert fast.predict(some).tobytes() == native.predict(some).tobytes()


@pytest.mark.parametrize(
    "settings",
    [
        {"objective": "poisson"},
        {"objective": "regression", "reg_sqrt": True},
        {"objective": "regression", "linear_tree": True},
        {"boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.5},
    ],
)
def test_what_the_kernel_does_not_know_stays_with_the_library(settings):
    """Other links, linear leaves and averages are answered as before."""
    booster, rows = trained(**settings)
    files = {"model.txt": booster.model_to_string().encode()}
    loaded = LightgbmRuntime(use_kernel=True).load(files, SIGNATURE)
    assert isinstance(loaded, Booster)
    assert loaded.predict(rows).tolist() == booster.predict(rows).tolist()


def test_without_a_compiler_the_library_answers(monkeypatch):
    """The option is an offer: a machine without one serves the same model."""
    from mainspring._adapters.lightgbm import compiled

    monkeypatch.setenv("CC", "no-such-compiler")
    compiled._make.cache_clear()
    booster, _ = trained()
    files = {"model.txt": booster.model_to_string().encode()}
    try:
        loaded = LightgbmRuntime(use_kernel=True).load(files, SIGNATURE)
    finally:
        compiled._make.cache_clear()
    assert isinstance(loaded, Booster)


@pytest.mark.parametrize("word", ["left_child", "split_feature", "threshold"])
def test_trees_that_lead_out_of_their_arrays_are_not_walked(word):
    """A child, an input or a length that does not fit is seen before the kernel reads it."""
    booster, _ = trained()
    lines = booster.model_to_string().split("\n")
    place = next(n for n, line in enumerate(lines) if line.startswith(f"{word}="))
    lines[place] = f"{word}=" + ("99999 " + lines[place].split(" ", 1)[1])
    if word == "threshold":
        lines[place] = lines[place].rsplit(" ", 1)[0]
    with pytest.raises(Uncompilable):
        flatten("\n".join(lines).encode(), 4)
