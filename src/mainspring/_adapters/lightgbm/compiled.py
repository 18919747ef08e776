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
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mainspring._adapters.lightgbm.trees import CATEGORY, Flat, Uncompilable, flatten
from mainspring.core.errors import Unavailable
from mainspring.serving.ports import Loaded

Array = NDArray[np.float64]

SOURCE: Final = Path(__file__).with_name("kernel.c")
_FLAGS: Final = ("-O3", "-std=c11", "-fPIC", "-shared", "-ffp-contract=off")
_SECONDS: Final = 60.0
_ROWS: Final = 4096
FEW: Final = 8  # below so many rows the kernel has no lanes to fill


class Compiled:
    """A model's trees: few rows are answered by the library, many by the kernel, all alike."""

    def __init__(self, flat: Flat, inputs: int, native: Loaded) -> None:
        self._native = native
        self._flat = flat
        self._inputs = inputs
        self._kernel = kernel()
        self._places = tuple(
            ctypes.c_void_p(part.ctypes.data) for part in (flat.nodes, flat.leaves, flat.trees)
        )
        self._sets = tuple(ctypes.c_void_p(part.ctypes.data) for part in (flat.sets, flat.bits))

    def predict(self, inputs: Array) -> Array:
        """One number per row. Shapes: (n, inputs) in, (n,) out."""
        if len(inputs) < FEW:
            return self._native.predict(inputs)
        answers = np.zeros(len(inputs), dtype=np.float64)
        failed = self._kernel(
            *self._places,
            len(self._flat.trees),
            *self._sets,
            inputs.ctypes.data,
            len(inputs),
            self._inputs,
            self._flat.sigmoid,
            answers.ctypes.data,
        )
        if failed:
            raise MemoryError
        return answers


def compiled(text: bytes, inputs: int, native: Loaded) -> Loaded:
    """The model in the kernel where that gives the library's answers to the bit; else as it was."""
    try:
        flat = flatten(text, inputs)
        fast = Compiled(flat, inputs, native)
    except (Uncompilable, Unavailable):
        return native
    rows = edge_rows(flat, inputs)
    same = fast.predict(rows).tobytes() == native.predict(rows).tobytes()
    return fast if same else native


def edge_rows(flat: Flat, inputs: int, *, seed: int = 0) -> Array:
    """Rows whose every value lies at, just below or just above a threshold, or is odd."""
    random = np.random.default_rng(seed)
    thresholds = flat.thresholds()
    categories = set(flat.nodes["input"][flat.nodes["kind"] == CATEGORY].tolist())
    odd = np.array([np.nan, 0.0, -0.0, 1e-36, -1e-36, 1e-34, np.inf, -np.inf, 1e300, -1.0])
    rows = np.empty((_ROWS, inputs), dtype=np.float64)
    for place in range(inputs):
        at = thresholds.get(place, np.zeros(1))
        values = np.concatenate([at, np.nextafter(at, np.inf), np.nextafter(at, -np.inf), odd])
        if place in categories:
            # No infinities here: C leaves open what they become as a whole number.
            most = 32.0 * float(flat.sets["words"].max())
            values = np.array([np.nan, -1.0, -0.5, 0.5, *np.arange(most + 3), most * 10])
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
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "kernel.so"
        command = [compiler, *_FLAGS, "-o", str(target), str(SOURCE), "-lm"]
        try:
            subprocess.run(command, check=True, capture_output=True, timeout=_SECONDS)  # noqa: S603 - our own source, as a list
            library = ctypes.CDLL(str(target))  # stays loaded when its file goes
        except (subprocess.SubprocessError, OSError) as error:
            raise _no_compiler(str(error)) from error
    function = library.mainspring_trees
    pointer, number = ctypes.c_void_p, ctypes.c_int32
    function.argtypes = [
        pointer, pointer, pointer, number, pointer, pointer, pointer, ctypes.c_int64, number,
        ctypes.c_double, pointer,
    ]  # fmt: skip
    function.restype = ctypes.c_int
    return function


def _no_compiler(why: str) -> Unavailable:
    return Unavailable(
        "serving.no_compiler",
        f"The kernel for trees cannot be made: {why}.",
        hint="Install a C compiler, or set compiled = false.",
    )
