"""The compiled kernel answers as LightGBM does, to the bit, or is not used."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import lightgbm
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.adapters.random_trees import differences

from mainspring._adapters.lightgbm import compiled
from mainspring._adapters.lightgbm.compiled import SOURCE, Compiled, edge_rows
from mainspring._adapters.lightgbm.flat import flatten
from mainspring._adapters.lightgbm.runtime import Booster, LightgbmRuntime
from mainspring._adapters.lightgbm.trees import Uncompilable
from mainspring.core.schema import InputColumn, Signature

SIGNATURE = Signature(tuple(InputColumn(name, "number") for name in "abcd"), "probability")


def trained(*, categories=(), rounds=12, **how):
    random = np.random.default_rng(6)
    rows = np.round(random.normal(size=(800, 4)) * 10, 1)
    rows[random.random((800, 4)) < 0.1] = np.nan
    for place in categories:
        rows[:, place] = random.integers(0, 70, 800)
    known = np.nan_to_num(rows)
    target = (known[:, 0] + known[:, 1] * (known[:, 3] % 3) > 5).astype(float)
    made = lightgbm.Dataset(rows, target, categorical_feature=list(categories))
    how = {"objective": "binary", "verbose": -1, "num_threads": 1} | how
    return lightgbm.train(how, made, rounds), np.ascontiguousarray(rows)


@pytest.mark.parametrize(
    "how",
    [
        {},
        {"objective": "regression"},
        {"zero_as_missing": True},
        {"use_missing": False},
        {"categories": (2, 3)},
        {"num_leaves": 2},
        {"boosting": "dart", "drop_rate": 0.5},
        {"min_data_in_leaf": 10_000},
        {"num_leaves": 300, "min_data_in_leaf": 1, "max_bin": 600},
    ],
)
def test_the_kernel_is_equal_to_the_bit(how):
    """At, just below and just above every threshold, at odd values, in batches of any size."""
    booster, rows = trained(**how)
    files = {"model.txt": booster.model_to_string().encode()}
    native = LightgbmRuntime().load(files, SIGNATURE)
    fast = LightgbmRuntime(use_kernel=True).load(files, SIGNATURE)
    assert isinstance(fast, Compiled)
    edges = edge_rows(flatten(files["model.txt"], 4), 4, seed=1)
    for some in (rows, edges, rows[:1], rows[:9], rows[:64], rows[:65]):
        assert fast.predict(some).tobytes() == native.predict(some).tobytes()


@pytest.mark.parametrize(
    "how",
    [
        {"objective": "poisson"},
        {"objective": "regression", "reg_sqrt": True},
        {"objective": "regression", "linear_tree": True},
        {"boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.5},
    ],
)
def test_what_the_kernel_does_not_know_stays_with_the_library(how):
    """Other links, linear leaves and averages are answered as before."""
    booster, rows = trained(**how)
    files = {"model.txt": booster.model_to_string().encode()}
    loaded = LightgbmRuntime(use_kernel=True).load(files, SIGNATURE)
    assert isinstance(loaded, Booster)
    assert loaded.predict(rows).tolist() == booster.predict(rows).tolist()


def test_without_a_compiler_the_library_answers(monkeypatch):
    """The option is an offer: a machine without one serves the same model."""
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


@pytest.mark.parametrize(
    ("word", "cells"),
    [("cat_boundaries", "0 99"), ("cat_boundaries", "0 3 1"), ("threshold", "7777")],
)
def test_sets_that_lead_out_of_their_words_are_not_asked(word, cells):
    """A crafted set of categories is seen before the kernel reads it."""
    booster, _ = trained(categories=(0, 1, 2, 3))
    lines = booster.model_to_string().split("\n")
    place = next(n for n, line in enumerate(lines) if line.startswith(f"{word}="))
    rest = lines[place].partition("=")[2].split(" ")[len(cells.split()) :]
    lines[place] = f"{word}=" + " ".join([*cells.split(), *rest])
    with pytest.raises(Uncompilable):
        flatten("\n".join(lines).encode(), 4)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_trees_that_nobody_trained_are_answered_to_the_bit(seed):
    """Any shape, any way of missing, hundreds of thresholds and categories, any size of request."""
    assert differences(seed) == []


def test_a_compiler_that_does_not_know_its_machine_makes_the_same_answers(monkeypatch, tmp_path):
    """The kernel is made again for any machine, and then needs no instruction of this one."""
    plain = tmp_path / "plain"
    plain.write_text('#!/bin/sh\ncase "$*" in *native*) exit 1;; esac\nexec cc "$@"\n')
    plain.chmod(0o755)
    monkeypatch.setenv("CC", str(plain))
    compiled._make.cache_clear()
    try:
        assert [differences(seed) for seed in range(10)] == [[]] * 10
    finally:
        compiled._make.cache_clear()


def test_models_in_the_kernel_are_explained():
    """What an input added is still told, by the library."""
    booster, rows = trained()
    files = {"model.txt": booster.model_to_string().encode()}
    loaded = LightgbmRuntime(use_kernel=True).load(files, SIGNATURE)
    assert isinstance(loaded, Compiled)
    told = LightgbmRuntime().load(files, SIGNATURE).explain(rows[:5])
    assert loaded.explain(rows[:5]).tolist() == told.tolist()


@pytest.mark.parametrize("machine", [[], ["-march=native"]])
def test_the_compiler_has_nothing_to_say(machine, tmp_path):
    """The source is free of warnings."""
    strict = ["-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Werror", *machine]
    command = ["cc", *compiled._FLAGS, *strict, "-o", str(tmp_path / "kernel.so"), str(SOURCE)]
    done = subprocess.run([*command, "-lm"], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_the_kernel_stays_within_its_arrays():
    """Built with the sanitizers of addresses and of undefined behaviour, it has nothing to confess."""
    asked = subprocess.run(
        ["cc", "-print-file-name=libasan.so"], check=True, capture_output=True, text=True
    )
    environment = {"LD_PRELOAD": asked.stdout.strip(), "ASAN_OPTIONS": "detect_leaks=0"}
    done = subprocess.run(
        [sys.executable, "-m", "tests.adapters.random_trees", "60"],
        check=False,
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
        env={**os.environ, **environment},
    )
    assert done.stdout.splitlines()[-1:] == ["all alike"], done.stdout + done.stderr
