"""A model's trees as the flat arrays that the compiled kernel reads.

Every threshold is replaced by its rank among the thresholds of its column, so that a question
compares two small whole numbers. A column is one input in one way of reading it: where missing
values go belongs to it. It has at most 255 points, which is what LightGBM's default of 255 bins
leads to; more points are cut into pages, each a column of its own, and a question about a set of
categories that lies on several pages becomes several questions, one behind the other.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mainspring._adapters.lightgbm.trees import Kind, Tree, Uncompilable, read

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

COLUMN: Final = np.dtype(
    [(name, "<i4") for name in ("input", "start", "count", "half", "kind", "missing")]
)
NODE: Final = np.dtype([("child", "<i4", (2,)), ("column", "<u2"), ("rank", "<i2"), ("set", "<i4")])
TREE: Final = np.dtype(
    [*((name, "<i4") for name in ("start", "leaves", "root", "asks_sets")), ("values", "<i8")]
)
_NUMBER, _ZERO_IS_MISSING, _CATEGORY = 0, 1, 2  # kinds of columns
_PAGE: Final = 255  # points of a column: codes are 0 to 255
_CODES: Final = 256
_SET_WORDS: Final = 8  # of 32 bits
_LEAVES: Final = 256  # of a tree whose leaves are counted in a byte
_ALWAYS, _NEVER = 255, -1  # ranks
_MOST_COLUMNS: Final = 1 << 16
_MOST_NODES: Final = (1 << 31) - 1


@dataclass(frozen=True, slots=True)
class Flat:
    """What the kernel reads. ``points`` are thresholds and categories; a set is 256 bits."""

    columns: NDArray[np.void]
    points: Floats
    nodes: NDArray[np.void]
    trees: NDArray[np.void]
    values: Floats
    sets: NDArray[np.uint32]
    slots: int  # the most nodes of a tree that may be swept
    sigmoid: float

    def thresholds(self) -> dict[int, Floats]:
        """Where numbers are split, by input."""
        return self._points_of(self.columns[self.columns["kind"] != _CATEGORY])

    def categories(self) -> dict[int, Floats]:
        """Which categories the questions name, by input."""
        return self._points_of(self.columns[self.columns["kind"] == _CATEGORY])

    def _points_of(self, columns: NDArray[np.void]) -> dict[int, Floats]:
        found: dict[int, list[Floats]] = defaultdict(list)
        for one in columns:
            found[int(one["input"])].append(self.points[one["start"] :][: one["count"]])
        return {place: np.unique(np.concatenate(parts)) for place, parts in found.items()}


def flatten(text: bytes, inputs: int) -> Flat:
    """The model's trees.

    Errors: :class:`Uncompilable` where :func:`trees.read` says so, and for models of more than
    65,536 columns or two thousand million nodes.
    """
    sigmoid, trees = read(text, inputs)
    made = _ranked(trees)
    nodes, flat = _laid(trees, made)
    small = flat["leaves"] <= _LEAVES
    return Flat(
        columns=np.array(made.columns or [(0, 0, 0, 0, _NUMBER, 0)], COLUMN),
        points=np.concatenate([*made.points, np.full(1, np.inf)]),
        nodes=nodes,
        trees=flat,
        values=np.concatenate([tree.values for tree in trees]),
        sets=np.packbits(np.array(made.sets), axis=1, bitorder="little").view("<u4"),
        slots=int((flat["root"] - flat["start"] + 1)[small].max(initial=0)),
        sigmoid=sigmoid,
    )


@dataclass(slots=True)
class _Ranked:
    """The questions of all trees behind each other, asked of columns and in ranks.

    ``sets`` begins with the empty one. ``pages`` has, for a question about categories, the column
    and the first word of the set, for each page that its set lies on.
    """

    column: Ints
    rank: Ints
    columns: list[tuple[int, ...]] = field(default_factory=list)
    points: list[Floats] = field(default_factory=list)
    sets: list[NDArray[np.bool_]] = field(default_factory=lambda: [np.zeros(_CODES, np.bool_)])
    pages: dict[int, list[tuple[int, int]]] = field(default_factory=dict)
    _used: int = 0

    def number(self, reading: tuple[int, Kind, bool], points: Floats) -> int:
        """The first of the columns for these thresholds."""
        place, missing, left = reading
        kind = _ZERO_IS_MISSING if missing is Kind.ZERO_IS_MISSING else _NUMBER
        first = len(self.columns)
        for start in range(0, len(points), _PAGE):
            page = points[start : start + _PAGE]
            code = 0 if left else _CODES - 1
            if missing is Kind.NO_MISSING:  # a null is read as zero
                code = int(np.searchsorted(page, 0.0))
            self._add(place, page, kind, code)
        return first

    def category(self, place: int, points: Floats) -> int:
        """The first of the columns for these categories."""
        first = len(self.columns)
        for start in range(0, max(len(points), 1), _PAGE):
            self._add(place, points[start : start + _PAGE], _CATEGORY, 0)
        return first

    def _add(self, place: int, page: Floats, kind: int, missing: int) -> None:
        size = 1 << len(page).bit_length()  # a power of two above the count
        self.columns.append((place, self._used, len(page), size // 2, kind, missing))
        self.points.append(np.concatenate([page, np.full(size - len(page), np.inf)]))
        self._used += size
        if len(self.columns) > _MOST_COLUMNS:
            raise Uncompilable("it has too many columns")


def _ranked(trees: list[Tree]) -> _Ranked:
    kinds = np.concatenate([tree.kind for tree in trees])
    left = np.concatenate([tree.missing_left for tree in trees])
    asked = np.concatenate([tree.asked for tree in trees])
    at = np.concatenate([tree.at for tree in trees])
    named = [one for tree in trees for one in tree.named()]
    made = _Ranked(np.zeros(len(at), np.int64), np.full(len(at), _NEVER))
    left &= (kinds == Kind.ZERO_IS_MISSING) | (kinds == Kind.NULL_IS_MISSING)
    readings, which = np.unique(np.stack([asked, kinds, left]), axis=1, return_inverse=True)
    order = np.argsort(which, kind="stable")
    cuts = np.cumsum(np.bincount(which, minlength=readings.shape[1]))
    questions = np.split(order, cuts)[:-1]
    for reading, mine in zip(readings.T.tolist(), questions, strict=True):
        if reading[1] == Kind.CATEGORY:
            _rank_sets(made, reading[0], mine, named)
            continue
        points, rank = np.unique(at[mine], return_inverse=True)
        first = made.number((reading[0], Kind(reading[1]), bool(reading[2])), points)
        made.column[mine], made.rank[mine] = first + rank // _PAGE, rank % _PAGE
    return made


def _rank_sets(made: _Ranked, place: int, mine: Ints, named: list[Ints | None]) -> None:
    known = [members for one in mine if (members := named[one]) is not None]
    points = np.unique(np.concatenate(known))
    first = made.category(place, points.astype(np.float64))
    for question, members in zip(mine.tolist(), known, strict=True):
        page, rank = np.divmod(np.searchsorted(points, members), _PAGE)
        made.pages[question] = []
        for one in np.unique(page).tolist() or [0]:
            codes = np.zeros(_CODES, np.bool_)
            codes[rank[page == one] + 1] = True
            made.pages[question].append((first + one, len(made.sets) * _SET_WORDS))
            made.sets.append(codes)


def _laid(trees: list[Tree], made: _Ranked) -> tuple[NDArray[np.void], NDArray[np.void]]:
    """The nodes of all trees, in each the leaves first and the root last; and the trees."""
    counts = np.array([len(tree.at) for tree in trees])
    leaves = np.array([len(tree.values) for tree in trees])
    widths = np.ones(len(made.rank), np.int64)
    for question, pages in made.pages.items():
        widths[question] = len(pages)
    before = np.concatenate([np.zeros(1, np.int64), np.cumsum(widths)])
    ends = np.cumsum(counts)
    sizes = leaves + before[ends] - before[ends - counts]
    starts = np.cumsum(sizes) - sizes
    if sizes.sum() > _MOST_NODES:
        raise Uncompilable("it has too many nodes")
    tree = np.repeat(np.arange(len(trees)), counts)
    places = (starts + sizes - 1)[tree] - (before[:-1] - before[ends - counts][tree])
    child = np.concatenate([one.children for one in trees])
    inner = (ends - counts)[tree][:, None] + np.maximum(child, 0)
    child = np.where(child < 0, starts[tree][:, None] - 1 - child, places[inner])
    nodes = _leaves(int(sizes.sum()))
    nodes["child"][places] = child
    nodes["column"][places], nodes["rank"][places] = made.column, made.rank
    for question, pages in made.pages.items():
        _chain(nodes, int(places[question]), pages)
    flat = np.zeros(len(trees), TREE)
    flat["start"], flat["leaves"], flat["root"] = starts, leaves, starts + sizes - 1
    flat["values"] = np.cumsum(leaves) - leaves
    flat["asks_sets"] = [(one.kind == Kind.CATEGORY).any() for one in trees]
    return nodes, flat


def _leaves(count: int) -> NDArray[np.void]:
    nodes = np.zeros(count, NODE)
    nodes["child"] = np.arange(count)[:, None]
    nodes["rank"] = _ALWAYS
    return nodes


def _chain(nodes: NDArray[np.void], place: int, pages: list[tuple[int, int]]) -> None:
    """One question per page of a set: the answer no asks the next page."""
    yes, no = nodes["child"][place].tolist()
    for down, (column, number) in enumerate(pages):
        after = no if down == len(pages) - 1 else place - down - 1
        nodes[place - down] = ((yes, after), column, _NEVER, number)
