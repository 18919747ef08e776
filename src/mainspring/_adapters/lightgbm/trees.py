"""The text of a LightGBM model, read into arrays that have been checked.

Source: LightGBM's ``src/io/tree.cpp`` (``Tree::ToString``) for the words, ``include/LightGBM/tree.h``
for the bits of ``decision_type``: 1 category, 2 missing goes left, 12 what counts as missing.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from itertools import pairwise
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

N = TypeVar("N", bound=np.generic)

_IS_CATEGORY, _MISSING_LEFT, _MISSING_BITS = 1, 2, 12


class Kind(IntEnum):
    """What a question asks of its input, and what counts as missing when it is a number."""

    NO_MISSING = 0
    CATEGORY = 1
    ZERO_IS_MISSING = 4
    NULL_IS_MISSING = 8


class Uncompilable(ValueError):
    """A model that asks or sums in a way that the kernel does not know."""


@dataclass(frozen=True, slots=True)
class Tree:
    """One tree: its questions, the value of each leaf, and the sets that questions name.

    A question lies behind the one that leads to it; a leaf is written as minus its number minus
    one, as the library does. ``at`` is a threshold, or for categories the number of a set.

    Shapes: one entry per question; ``children`` (questions, 2): if it holds, if not.
    """

    kind: NDArray[np.int64]
    missing_left: NDArray[np.bool_]
    at: NDArray[np.float64]
    asked: NDArray[np.int64]
    children: NDArray[np.int64]
    values: NDArray[np.float64]
    sets: tuple[NDArray[np.int64], ...]

    def named(self) -> list[NDArray[np.int64] | None]:
        """Per question the categories for which it holds; none for numbers."""
        asks = (self.kind == Kind.CATEGORY).tolist()
        numbers = self.at.tolist()
        return [
            self.sets[int(number)] if one else None
            for one, number in zip(asks, numbers, strict=True)
        ]


def read(text: bytes, inputs: int) -> tuple[float, list[Tree]]:
    """The factor of the logistic link (0 for the identity), and the trees.

    Errors: :class:`Uncompilable` for linear leaves, averaged forests, links other than the identity
    and the logistic, and for trees that lead out of their arrays.
    """
    head, *parts = text.decode("utf-8").split("end of trees")[0].split("\nTree=")
    sigmoid = _sigmoid(_words(head))
    if not parts:
        raise Uncompilable("it has no trees")
    return sigmoid, [_tree(_words(part), inputs) for part in parts]


def _sigmoid(words: dict[str, str]) -> float:
    name, *options = words.get("objective", "regression").split()
    if words.get("num_tree_per_iteration", "1") != "1" or "average_output" in words:
        raise Uncompilable("it averages its trees, or has several per answer")
    if name == "binary":
        values = dict(one.split(":", 1) for one in options if ":" in one)
        return float(values.get("sigmoid", "1"))
    if name in {"regression", "regression_l1", "huber", "quantile"} and "sqrt" not in options:
        return 0.0
    raise Uncompilable(f"its objective is {name!r}")


def _tree(words: dict[str, str], inputs: int) -> Tree:
    if words.get("is_linear", "0") != "0":
        raise Uncompilable("its leaves are linear")
    values = _numbers(words, "leaf_value", np.float64)
    names = ("decision_type", "split_feature", "left_child", "right_child")
    kinds, asked, left, right = (_numbers(words, name, np.int64) for name in names)
    at = _numbers(words, "threshold", np.float64)
    if {len(one) for one in (kinds, asked, left, right, at)} != {len(values) - 1}:
        raise Uncompilable("a tree's lists differ in length")
    tree = Tree(
        kind=np.where(kinds & _IS_CATEGORY, Kind.CATEGORY, kinds & _MISSING_BITS),
        missing_left=(kinds & _MISSING_LEFT) != 0,
        at=at,
        asked=asked,
        children=np.stack([left, right], axis=1),
        values=values,
        sets=_sets(words),
    )
    _check(tree, inputs)
    return tree


def _check(tree: Tree, inputs: int) -> None:
    count = len(tree.at)
    if not np.isin(tree.kind, list(Kind)).all():
        raise Uncompilable("a tree asks in an unknown way")
    if (tree.asked < 0).any() or (tree.asked >= inputs).any():
        raise Uncompilable("a tree asks for an input that is not there")
    if np.isnan(tree.at).any():
        raise Uncompilable("a tree splits at no number")
    behind = tree.children > np.arange(count)[:, None]
    is_leaf = (tree.children < 0) & (tree.children >= -len(tree.values))
    if not (is_leaf | (behind & (tree.children < count))).all():
        raise Uncompilable("a tree leads out of its nodes")
    named = tree.at[tree.kind == Kind.CATEGORY]
    if (named < 0).any() or (named >= len(tree.sets)).any():
        raise Uncompilable("a tree asks for a set that is not there")


def _sets(words: dict[str, str]) -> tuple[NDArray[np.int64], ...]:
    """The categories of each set, in rising order."""
    bounds = _numbers(words, "cat_boundaries", np.int64)
    bits = _numbers(words, "cat_threshold", np.uint32)
    if not len(bounds):
        return ()
    if bounds[0] != 0 or bounds[-1] > len(bits) or (np.diff(bounds) < 0).any():
        raise Uncompilable("a tree's sets lead out of their words")
    bytes_ = bits.astype("<u4").view(np.uint8)
    return tuple(
        np.flatnonzero(np.unpackbits(bytes_[4 * start : 4 * end], bitorder="little"))
        for start, end in pairwise(bounds.tolist())
    )


def _words(part: str) -> dict[str, str]:
    lines = (line.partition("=") for line in part.splitlines())
    return {key: value for key, _, value in lines}


def _numbers(words: dict[str, str], name: str, kind: type[N]) -> NDArray[N]:
    try:
        return np.array(words.get(name, "").split(), dtype=kind)
    except (ValueError, OverflowError) as error:
        raise Uncompilable(f"{name} holds something else than numbers") from error
