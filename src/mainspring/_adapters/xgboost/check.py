"""A stored XGBoost model, checked before the library reads it: no tree leads out of its arrays."""

from __future__ import annotations

from typing import Any, Final

import msgspec
import numpy as np

from mainspring._adapters.xgboost.ubjson import decode
from mainspring.serving.refusals import unreadable

_LEAF: Final = -1
_BOOSTERS: Final = ("gbtree", "dart")


def check_model(data: bytes, inputs: int, file: str) -> None:
    """Nothing, or an error: trees over this many inputs that give one number per row.

    Errors: ``serving.package_unreadable``.
    """
    learner = _part(document(data, file), file, "learner")
    shape = _part(learner, file, "learner_model_param")
    features, classes = int(shape.get("num_feature", -1)), int(shape.get("num_class", 0))
    if features != inputs:
        raise unreadable(file, f"it takes {features} inputs, the signature has {inputs}")
    if classes > 1 or int(shape.get("num_target", 1)) != 1:
        raise unreadable(file, "it gives more than one number per row")
    booster = _part(learner, file, "gradient_booster")
    if booster.get("name") not in _BOOSTERS:
        raise unreadable(file, f"its booster {booster.get('name')!r} is not one of trees")
    model = _part(booster.get("gbtree", booster), file, "model")
    trees = model.get("trees")
    if not isinstance(trees, list) or len(trees) != len(model.get("tree_info", ())):
        raise unreadable(file, "its trees are not as many as it says")
    for tree in trees:
        if not isinstance(tree, dict) or not _sound(tree, inputs):
            raise unreadable(file, "a tree in it points outside of its nodes or inputs")


def document(data: bytes, file: str) -> Any:
    """The file's JSON, whether as text or binary. Errors: ``serving.package_unreadable``."""
    try:
        # Both start with a brace; in text the next byte that counts is a quotation mark.
        if data[:1] == b"{" and data[1:].lstrip()[:1] == b'"':
            return msgspec.json.decode(data)
        return decode(data)
    except (ValueError, TypeError, RecursionError, msgspec.MsgspecError) as error:
        raise unreadable(file, str(error)) from error


def _sound(tree: dict[str, Any], inputs: int) -> bool:
    try:
        left, right, asked, parents = (
            np.array(tree[key], dtype=np.int64)
            for key in ("left_children", "right_children", "split_indices", "parents")
        )
        others = [len(tree[key]) for key in ("split_conditions", "default_left", "split_type")]
        said = int(tree["tree_param"]["num_nodes"])
        categories = _sets_inside(tree, len(left))
    except (KeyError, TypeError, ValueError, OverflowError):
        return False
    sizes = {len(left), len(right), len(asked), len(parents), said, *others}
    if len(sizes) != 1 or not len(left):
        return False
    inner = left != _LEAF
    at = np.flatnonzero(inner)
    behind = all(((c[inner] > at) & (c[inner] < len(left))).all() for c in (left, right))
    known = ((asked[inner] >= 0) & (asked[inner] < inputs)).all()
    return bool(behind and known and (right[~inner] == _LEAF).all() and categories)


def _sets_inside(tree: dict[str, Any], count: int) -> bool:
    nodes, sizes, starts = (
        np.array(tree.get(key, []), dtype=np.int64)
        for key in ("categories_nodes", "categories_sizes", "categories_segments")
    )
    if not len(nodes) == len(sizes) == len(starts):
        return False
    total, values = len(tree.get("categories", [])), np.array(tree.get("categories", []))
    inside = (starts >= 0) & (sizes >= 0) & (starts + sizes <= total) & (nodes < count)
    return bool(inside.all() and (nodes >= 0).all() and (values >= 0).all())


def _part(value: Any, file: str, name: str) -> dict[str, Any]:
    found = value.get(name) if isinstance(value, dict) else None
    if not isinstance(found, dict):
        raise unreadable(file, f"it has no part {name!r}")
    return found
