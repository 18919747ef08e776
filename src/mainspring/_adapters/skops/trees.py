"""The trees inside a loaded estimator, checked: no step of theirs leads out of their arrays.

scikit-learn follows the indices of its trees without looking whether they lie inside, so a crafted
file could crash the process or read beyond an array. skops therefore trusts no tree by itself;
here each is trusted once every child lies behind its parent and every feature exists.
Source: the warning of skops 0.16 on ``sklearn.tree._tree.Tree`` and ``TreePredictor``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mainspring.serving.refusals import unsafe

_MOST_OBJECTS: Final = 2_000_000
_LEAF: Final = -1
_TREE: Final = "sklearn.tree._tree.Tree"
_PREDICTOR: Final = ".predictor.TreePredictor"


def check_trees(model: Any, file: str) -> None:
    """Nothing, or an error naming what is wrong. Errors: ``serving.package_unsafe``."""
    for part in _parts(model):
        name = f"{type(part).__module__}.{type(part).__name__}"
        if name == _TREE:
            _check_tree(part, file)
        elif name.endswith(_PREDICTOR):
            _check_predictor(part, file)
        elif hasattr(part, "_predictors"):
            _check_boosting(part, file)


def tree_thresholds(model: Any) -> NDArray[np.float64]:
    """Where the trees inside an estimator split numbers."""
    found: list[NDArray[np.float64]] = []
    for part in _parts(model):
        name = f"{type(part).__module__}.{type(part).__name__}"
        if name == _TREE:
            found.append(np.asarray(part.threshold)[np.asarray(part.children_left) != _LEAF])
        elif name.endswith(_PREDICTOR):
            inner = (part.nodes["is_leaf"] == 0) & (part.nodes["is_categorical"] == 0)
            found.append(part.nodes["num_threshold"][inner])
    return np.unique(np.concatenate(found)) if found else np.empty(0)


def _check_tree(tree: Any, file: str) -> None:
    left, right = np.asarray(tree.children_left), np.asarray(tree.children_right)
    inner = left != _LEAF
    inside = _behind(left, right, inner, tree.node_count)
    if not inside or not _within(np.asarray(tree.feature)[inner], tree.n_features):
        raise unsafe(file, "a tree in it points outside of its nodes or inputs")


def _check_predictor(predictor: Any, file: str) -> None:
    nodes = predictor.nodes
    inner = nodes["is_leaf"] == 0
    inside = _behind(nodes["left"], nodes["right"], inner, len(nodes))
    asked = inner & (nodes["is_categorical"] != 0)
    bits = min(len(predictor.binned_left_cat_bitsets), len(predictor.raw_left_cat_bitsets))
    if not len(nodes) or not inside or not _within(nodes["bitset_idx"][asked], bits):
        raise unsafe(file, "a tree in it points outside of its nodes or sets")


def _check_boosting(model: Any, file: str) -> None:
    for iteration in model._predictors:  # noqa: SLF001 - there is no public way to the trees
        for predictor in iteration:
            nodes = predictor.nodes
            asked = nodes["feature_idx"][nodes["is_leaf"] == 0]
            if not _within(asked, int(model.n_features_in_)):
                raise unsafe(file, "a tree in it asks for an input that is not there")


def _behind(left: Any, right: Any, inner: Any, count: int) -> bool:
    """Whether both children of each inner node lie behind it: so there is no circle either."""
    at = np.flatnonzero(inner)
    both = np.concatenate([left[inner], right[inner]]).astype(np.int64)
    return bool((both > np.concatenate([at, at])).all() and (both < count).all())


def _within(places: Any, count: int) -> bool:
    found = np.asarray(places, dtype=np.int64)
    return bool((found >= 0).all() and (found < count).all())


def _parts(model: Any) -> Iterator[Any]:
    waiting, seen = [model], set[int]()
    while waiting:
        part = waiting.pop()
        if id(part) in seen or isinstance(part, str | bytes | int | float | bool | None):
            continue
        seen.add(id(part))
        if len(seen) > _MOST_OBJECTS:
            raise unsafe("model.skops", "it holds too many objects")
        yield part
        if isinstance(part, dict):
            waiting += [*part.keys(), *part.values()]
        elif isinstance(part, list | tuple | set | frozenset):
            waiting += part
        elif isinstance(part, np.ndarray):
            waiting += part.ravel().tolist() if part.dtype == object else []
        else:
            waiting += vars(part).values() if hasattr(part, "__dict__") else ()
