"""The text of a LightGBM model as flat arrays that the compiled kernel walks.

Source: LightGBM's ``src/io/tree.cpp`` (``Tree::ToString``) for the words, ``include/LightGBM/tree.h``
for the bits of ``decision_type``: 1 category, 2 missing goes left, 12 what counts as missing.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

N = TypeVar("N", bound=np.generic)

NODE: Final = np.dtype(
    [
        ("at", "<f8"),
        ("input", "<i4"),
        ("child", "<i4", (2,)),
        ("kind", "u1"),
        ("missing_holds", "u1"),
        ("padding", "u1", (2,)),
    ]
)
TREE: Final = np.dtype([("root", "<i4"), ("depth", "<i4"), ("plain", "<i4")])
SET: Final = np.dtype([("start", "<i4"), ("words", "<i4")])
NUMBER, ZERO_IS_MISSING, CATEGORY = 0, 1, 2
_IS_CATEGORY, _MISSING_LEFT = 1, 2
_NONE, _ZERO, _NAN = 0, 4, 8  # what counts as missing
_MISSING_BITS: Final = 12


class Uncompilable(ValueError):
    """A model that asks or sums in a way that the kernel does not know."""


@dataclass(frozen=True, slots=True)
class Flat:
    """All trees behind each other; a leaf is a node that is its own child."""

    nodes: NDArray[np.void]
    leaves: NDArray[np.float64]
    trees: NDArray[np.void]
    sets: NDArray[np.void]
    bits: NDArray[np.uint32]
    sigmoid: float

    def thresholds(self) -> dict[int, NDArray[np.float64]]:
        """Where numbers are split, by input."""
        numbers = self.nodes[(self.nodes["kind"] != CATEGORY) & np.isfinite(self.nodes["at"])]
        return {
            int(place): np.unique(numbers["at"][numbers["input"] == place])
            for place in np.unique(numbers["input"])
        }


def flatten(text: bytes, inputs: int) -> Flat:
    """The model's trees.

    Errors: :class:`Uncompilable` for linear leaves, averaged forests, links other than the identity
    and the logistic, and for trees that lead out of their arrays.
    """
    head, *parts = text.decode("utf-8").split("end of trees")[0].split("\nTree=")
    sigmoid = _sigmoid(_words(head))
    nodes: list[NDArray[np.void]] = []
    leaves: list[NDArray[np.float64]] = []
    trees = np.zeros(len(parts), TREE)
    sets: list[tuple[int, int]] = []
    bits: list[NDArray[np.uint32]] = []
    start = words_so_far = 0
    for number, part in enumerate(parts):
        words = _words(part)
        made, values, depth = _tree(words, start, len(sets), inputs)
        trees[number] = (start, depth, int((made["kind"] == NUMBER).all()))
        bounds = _numbers(words, "cat_boundaries", np.int64)
        sets += [(words_so_far + a, b - a) for a, b in pairwise(bounds.tolist())]
        bits.append(_numbers(words, "cat_threshold", np.uint32))
        words_so_far += len(bits[-1])
        nodes.append(made)
        leaves.append(values)
        start += len(made)
    if not nodes:
        raise Uncompilable("it has no trees")
    return Flat(
        nodes=np.concatenate(nodes),
        leaves=np.concatenate(leaves),
        trees=trees,
        sets=np.array(sets or [(0, 0)], SET),
        bits=np.concatenate([*bits, np.zeros(1, np.uint32)]),
        sigmoid=sigmoid,
    )


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


def _tree(
    words: dict[str, str], start: int, first_set: int, inputs: int
) -> tuple[NDArray[np.void], NDArray[np.float64], int]:
    """Nodes (inner ones, then leaves), the value of each leaf, and the longest way down."""
    if words.get("is_linear", "0") != "0":
        raise Uncompilable("its leaves are linear")
    values = _numbers(words, "leaf_value", np.float64)
    inner = len(values) - 1
    nodes = np.zeros(inner + len(values), NODE)
    own = np.arange(len(nodes), dtype=np.int32) + start
    nodes["child"][:, 0] = nodes["child"][:, 1] = own
    nodes["at"][inner:] = np.inf
    if inner:
        _fill(nodes[:inner], words, start, first_set)
        if not (nodes["input"] >= 0).all() or not (nodes["input"] < inputs).all():
            raise Uncompilable("a tree asks for an input that is not there")
    leaves = np.concatenate([np.zeros(inner), values])
    return nodes, leaves, _depth(nodes["child"][:inner] - start, inner)


def _fill(nodes: NDArray[np.void], words: dict[str, str], start: int, first_set: int) -> None:
    inner = len(nodes)
    kinds = _numbers(words, "decision_type", np.int64)
    at = _numbers(words, "threshold", np.float64)
    asked = _numbers(words, "split_feature", np.int64)
    children = [_numbers(words, name, np.int64) for name in ("left_child", "right_child")]
    if {len(kinds), len(at), len(asked), *map(len, children)} != {inner}:
        raise Uncompilable("a tree's lists differ in length")
    category, missing = (kinds & _IS_CATEGORY) != 0, kinds & _MISSING_BITS
    nodes["at"] = np.where(category, at + first_set, at)
    nodes["input"] = asked
    nodes["kind"] = np.where(
        category, CATEGORY, np.where(missing == _ZERO, ZERO_IS_MISSING, NUMBER)
    )
    left = (kinds & _MISSING_LEFT) != 0
    # Where nothing counts as missing, a null is read as zero.
    nodes["missing_holds"] = np.where(missing == _NONE, at >= 0.0, left)
    for side, child in enumerate(children):
        # A leaf is written as minus its number minus one.
        nodes["child"][:, side] = np.where(child >= 0, child, inner - child - 1) + start


def _depth(children: NDArray[np.int32], inner: int) -> int:
    """The longest way from the root to a leaf. Children lie behind their parents."""
    places = np.arange(inner)[:, None]
    if ((children <= places) | (children > 2 * inner)).any():
        raise Uncompilable("a tree leads out of its nodes")
    depth = np.zeros(2 * inner + 1, dtype=np.int64)
    for place in range(inner):
        depth[children[place]] = depth[place] + 1
    return int(depth.max())


def _words(part: str) -> dict[str, str]:
    lines = (line.partition("=") for line in part.splitlines())
    return {key: value for key, _, value in lines}


def _numbers(words: dict[str, str], name: str, kind: type[N]) -> NDArray[N]:
    try:
        return np.array(words.get(name, "").split(), dtype=kind)
    except (ValueError, OverflowError) as error:
        raise Uncompilable(f"{name} holds something else than numbers") from error
