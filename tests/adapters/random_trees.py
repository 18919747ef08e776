"""Models that nobody trained: random trees in LightGBM's text, and rows at all of their edges.

``python -m tests.adapters.random_trees COUNT`` compares kernel and library on so many models, the
kernel built with the sanitizers of the C compiler. The process needs ``LD_PRELOAD`` of the address
sanitizer, since Python was built without it.
"""

from __future__ import annotations

import sys

import numpy as np

from mainspring._adapters.lightgbm import compiled, runtime
from mainspring._adapters.lightgbm.flat import flatten

SIZES = (1, 2, 3, 7, 31, 32, 33, 63, 255, 256, 257, 1000)  # of requests
_ODD = (0.0, -0.0, 1e-35, -1e-35, 9.999999e-36, 5e-324, 1e300, -1e300)


def text_of(random: np.random.Generator) -> tuple[bytes, int]:
    """A model, and how many inputs it takes."""
    inputs = int(random.integers(1, 6))
    categories = random.random(inputs) < 0.4
    most = int(random.choice([2, 5, 31, 257, 400]))
    count = int(random.integers(1, 20))
    trees = [_tree(random, number, most, categories) for number in range(count)]
    binary = random.random() < 0.5
    head = [
        "tree", "version=v4", "num_class=1", "num_tree_per_iteration=1", "label_index=0",
        f"max_feature_idx={inputs - 1}", f"objective={'binary sigmoid:0.7' if binary else 'regression'}",
        "feature_names=" + " ".join(f"c{n}" for n in range(inputs)),
        "feature_infos=" + " ".join(["none"] * inputs),
        "tree_sizes=" + " ".join(str(len(tree)) for tree in trees), "", "",
    ]  # fmt: skip
    return ("\n".join(head) + "".join(trees) + "end of trees\n\nparameters:\n").encode(), inputs


def _tree(random: np.random.Generator, number: int, most: int, categories: np.ndarray) -> str:
    leaves = int(random.integers(1, most + 1))
    inner = leaves - 1
    asked = random.integers(0, len(categories), inner)
    left, right = _children(random, inner)
    known = int(random.choice([3, 40, 700]))
    at, kinds, sets = [], [], []
    for place in asked.tolist():
        if categories[place]:
            at.append(repr(len(sets)))
            kinds.append(1)
            members = random.choice(known, size=int(random.integers(0, min(known, 30))))
            sets.append(_words(members.tolist()))
        else:
            at.append(repr(_threshold(random)))
            kinds.append(int(random.choice([0, 2, 4, 6, 8, 10])))
    lines = [f"Tree={number}", f"num_leaves={leaves}", f"num_cat={len(sets)}"]
    lines += [
        _line("split_feature", asked),
        _line("split_gain", [1] * inner),
        _line("threshold", at),
    ]
    lines += [_line("decision_type", kinds), _line("left_child", left), _line("right_child", right)]
    values = random.normal(size=leaves) * 10.0 ** random.integers(-6, 3, leaves)
    lines += [_line("leaf_value", [repr(one) for one in values.tolist()])]
    if sets:
        bounds = np.cumsum([0, *map(len, sets)])
        lines += [
            _line("cat_boundaries", bounds),
            _line("cat_threshold", [w for s in sets for w in s]),
        ]
    return "\n".join([*lines, "is_linear=0", "shrinkage=1", "", "", ""])


def _children(random: np.random.Generator, inner: int) -> tuple[list[int], list[int]]:
    """As the library grows a tree: a leaf is split, it stays on the left, the right is new."""
    left, right = [], []
    above: list[tuple[list[int], int] | None] = [None]
    for place in range(inner):
        leaf = int(random.integers(0, place + 1)) if random.random() < 0.7 else place
        link = above[leaf]
        if link is not None:
            link[0][link[1]] = place
        left.append(-leaf - 1)
        right.append(-place - 2)
        above[leaf] = (left, place)
        above.append((right, place))
    return left, right


def _threshold(random: np.random.Generator) -> float:
    way = random.random()
    if way < 0.1:
        return float(random.choice(_ODD))
    return float(np.round(random.normal() * 10, 1 if way < 0.5 else 6))


def _words(members: list[int]) -> list[int]:
    words = [0] * (max(members, default=0) // 32 + 1)
    for one in members:
        words[one // 32] |= 1 << one % 32
    return words


def _line(name: str, cells: object) -> str:
    return f"{name}=" + " ".join(map(str, cells))


def differences(seed: int) -> list[tuple[int, int]]:
    """Sizes of requests for which kernel and library differ, and how many answers."""
    random = np.random.default_rng(seed)
    text, inputs = text_of(random)
    native = runtime.Booster(runtime._library(), text)
    native.check(inputs)
    flat = flatten(text, inputs)
    kernel = compiled.Compiled(flat, inputs, native)
    rows = compiled.edge_rows(flat, inputs, seed=seed)
    found = []
    for size in SIZES:
        some = np.ascontiguousarray(rows[int(random.integers(0, len(rows) - size)) :][:size])
        mine, its = kernel.predict(some), native.predict(some)
        off = int((mine.view(np.int64) != its.view(np.int64)).sum())
        if off:
            found.append((size, off))
    return found


def main() -> int:
    compiled._FLAGS = (
        *compiled._FLAGS,
        "-g",
        "-fsanitize=address,undefined",
        "-fno-sanitize-recover",
    )
    for seed in range(int(sys.argv[1])):
        found = differences(seed)
        if found:
            print(f"seed {seed}: {found}")
            return 1
    print("all alike")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
