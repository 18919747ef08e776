"""The compiled kernel: the machine's C compiler makes it once per process, from our own source.

Nothing of a package is compiled: the kernel is always the same, the trees are its data. It is used
for a model only after it gave the library's own answers, to the bit, on rows at every threshold.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import tempfile
import threading
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from mainspring._adapters.lightgbm.flat import Flat, flatten
from mainspring._adapters.lightgbm.trees import Uncompilable
from mainspring.core.errors import Unavailable
from mainspring.serving.ports import Loaded

if TYPE_CHECKING:
    from mainspring._adapters.lightgbm.runtime import Booster

Array = NDArray[np.float64]

SOURCE: Final = Path(__file__).with_name("kernel.c")
_FLAGS: Final = ("-O3", "-std=c11", "-fPIC", "-shared", "-ffp-contract=off")
# It runs where it is made. A compiler that does not know its machine makes slower code.
_MACHINES: Final = (("-march=native",), ())
_SECONDS: Final = 60.0
_ROWS: Final = 4096
_SWEEP_FROM: Final = 0.25  # rows per leaf of a tree, from which sweeping was faster than walking
_POINTERS: Final = ("columns", "points", "nodes", "trees", "values", "sets")


class Model(ctypes.Structure):
    """The kernel's ``Model``."""

    _fields_ = [
        *((name, ctypes.c_void_p) for name in _POINTERS),
        ("sigmoid", ctypes.c_double),
        *(
            (name, ctypes.c_int32)
            for name in ("inputs", "column_count", "tree_count", "slots", "sweep_from")
        ),
    ]


class Compiled:
    """A model's trees, answered by the kernel, explained by the library. Any thread."""

    def __init__(self, flat: Flat, inputs: int, native: Booster) -> None:
        self.explain = native.explain
        self._flat = flat  # owns what the model points to; never changed
        self._model = Model(
            *(getattr(flat, name).ctypes.data for name in _POINTERS),
            flat.sigmoid,
            inputs,
            len(flat.columns),
            len(flat.trees),
            flat.slots,
            max(1, round(_SWEEP_FROM * float(flat.trees["leaves"].mean()))),
        )
        self._place = ctypes.addressof(self._model)
        self._kernel = kernel()

    def predict(self, inputs: Array) -> Array:
        """One number per row. Shapes: (n, inputs) in, (n,) out."""
        answers = np.empty(len(inputs), dtype=np.float64)
        if self._kernel(self._place, inputs.ctypes.data, len(inputs), answers.ctypes.data):
            raise MemoryError
        return answers


def compiled(text: bytes, inputs: int, native: Booster) -> Loaded:
    """The model in the kernel where that gives the library's answers to the bit; else as it was."""
    try:
        flat = flatten(text, inputs)
        fast = Compiled(flat, inputs, native)
    except (Uncompilable, Unavailable):
        return native
    rows = edge_rows(flat, inputs)
    answers = native.predict(rows).tobytes()
    few = [fast.predict(rows[start : start + 2]) for start in range(0, _ROWS, 2)]
    same = fast.predict(rows).tobytes() == answers == np.concatenate(few).tobytes()
    return fast if same else native


def edge_rows(flat: Flat, inputs: int, *, seed: int = 0) -> Array:
    """Rows whose every value lies at, just below or just above a threshold, or is odd."""
    random = np.random.default_rng(seed)
    thresholds, categories = flat.thresholds(), flat.categories()
    odd = np.array([np.nan, 0.0, -0.0, 1e-36, -1e-36, 1e-34, np.inf, -np.inf, 1e300, -1.0])
    # No infinities among categories: C leaves open what they become as a whole number.
    names = np.array([np.nan, -1.0, -0.5, 0.5, 1e9])
    rows = np.empty((_ROWS, inputs), dtype=np.float64)
    for place in range(inputs):
        at = thresholds.get(place, np.zeros(1))
        values = np.concatenate([at, np.nextafter(at, np.inf), np.nextafter(at, -np.inf), odd])
        if place in categories:
            at = categories[place]
            values = np.concatenate([at, at + 1, at - 1, at + 0.5, names])
        rows[:, place] = random.choice(values, _ROWS)
    return rows


_making = threading.Lock()


def kernel() -> ctypes._NamedFuncPointer:
    """The compiled function. Errors: ``serving.no_compiler``."""
    with _making:
        return _make()


@cache
def _make() -> ctypes._NamedFuncPointer:
    compiler = shutil.which(os.environ.get("CC", "cc"))
    if compiler is None:
        raise _no_compiler("there is no C compiler on the path")
    failures = []
    for machine in _MACHINES:
        try:
            return _declared(_library([compiler, *_FLAGS, *machine]))
        except (subprocess.SubprocessError, OSError) as error:
            failures.append(str(error))
    raise _no_compiler("; ".join(failures))


def _library(command: list[str]) -> ctypes.CDLL:
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "kernel.so"
        whole = [*command, "-o", str(target), str(SOURCE), "-lm"]
        subprocess.run(whole, check=True, capture_output=True, timeout=_SECONDS)  # noqa: S603 - our own source, as a list
        return ctypes.CDLL(str(target))  # stays loaded when its file goes


def _declared(library: ctypes.CDLL) -> ctypes._NamedFuncPointer:
    function = library.mainspring_trees
    pointer = ctypes.c_void_p
    function.argtypes = [pointer, pointer, ctypes.c_int64, pointer]
    function.restype = ctypes.c_int
    return function


def _no_compiler(why: str) -> Unavailable:
    return Unavailable(
        "serving.no_compiler",
        f"The kernel for trees cannot be made: {why}.",
        hint="Install a C compiler, or set compiled = false.",
    )
