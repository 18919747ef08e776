"""The runtime ``lightgbm``: a booster's text file (``model.txt``), predicted by the C library.

The library is called directly (LightGBM's documented C interface, ``c_api.h``), because importing
the Python package also imports scikit-learn: seconds and a hundred megabytes that a gateway has no
use for. One thread per prediction: several gateways share the cores, and OpenMP threads that
outnumber cores made single rows eight times slower at the 99th percentile when measured.
"""

from __future__ import annotations

import ctypes
import re
import threading
from collections.abc import Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mainspring.core.errors import Invalid
from mainspring.core.schema import Signature
from mainspring.registry.plan import Plan
from mainspring.serving.ports import Loaded
from mainspring.serving.refusals import extra_missing, unreadable

Array = NDArray[np.float64]

MODEL_FILE: Final = "model.txt"
_FLOAT64: Final = 1  # C_API_DTYPE_FLOAT64
_NORMAL: Final = 0  # C_API_PREDICT_NORMAL
_CONTRIBUTIONS: Final = 3  # C_API_PREDICT_CONTRIB
_ROW_MAJOR: Final = 1
_PARAMETERS: Final = b"num_threads=1 verbosity=-1"
_TREES = re.compile(rb"^tree_sizes=([0-9 ]*)$", re.MULTILINE)
_FIRST_TREE: Final = b"\nTree=0\n"
_END: Final = b"end of trees"
_ALL: Final = -1
_LIBRARIES: Final = ("lib_lightgbm.so", "lib_lightgbm.dylib", "lib_lightgbm.dll")


class LightgbmRuntime:
    """Reads ``model.txt``, the text form of a booster.

    ``use_kernel``: models that our compiled kernel answers to the bit are walked by it.
    """

    name = "lightgbm"
    steady = True

    def __init__(self, *, use_kernel: bool = False) -> None:
        self._use_kernel = use_kernel

    def load(
        self,
        files: Mapping[str, bytes],
        signature: Signature,
        plan: Plan | None = None,  # noqa: ARG002 - nothing in this file needs trust
    ) -> Loaded:
        """The booster. Errors: ``serving.package_unreadable``, ``serving.extra_missing``."""
        if MODEL_FILE not in files:
            raise _unreadable("it is not in the package")
        _check_whole(files[MODEL_FILE])
        booster = Booster(_library(), files[MODEL_FILE])
        inputs = len(signature.inputs)
        booster.check(inputs)
        if not self._use_kernel:
            return booster
        from mainspring._adapters.lightgbm.compiled import compiled

        return compiled(files[MODEL_FILE], inputs, booster)


class Booster:
    """A booster in the C library's memory; freed with this object."""

    def __init__(self, library: ctypes.CDLL, text: bytes) -> None:
        self._library = library
        self._handle, self._fast = ctypes.c_void_p(), ctypes.c_void_p()
        self._length = ctypes.c_int64()
        iterations = ctypes.c_int()
        if library.LGBM_BoosterLoadModelFromString(
            ctypes.c_char_p(text), ctypes.byref(iterations), ctypes.byref(self._handle)
        ):
            raise _unreadable(_last_error(library))

    def check(self, inputs: int) -> None:
        """Nothing, or an error: the booster takes these many inputs and gives one number."""
        features, outputs = ctypes.c_int(), ctypes.c_int()
        self._library.LGBM_BoosterGetNumFeature(self._handle, ctypes.byref(features))
        self._library.LGBM_BoosterGetNumClasses(self._handle, ctypes.byref(outputs))
        if features.value != inputs:
            raise _unreadable(f"it takes {features.value} inputs, the signature has {inputs}")
        if outputs.value != 1:
            raise _unreadable(f"it gives {outputs.value} numbers per row, not one")
        if self._library.LGBM_BoosterPredictForMatSingleRowFastInit(
            self._handle, _NORMAL, 0, _ALL, _FLOAT64, inputs, _PARAMETERS, ctypes.byref(self._fast)
        ):
            raise _unreadable(_last_error(self._library))

    def predict(self, inputs: Array) -> Array:
        """One number per row: a probability for a binary objective. One thread at a time."""
        rows = len(inputs)
        answer = np.empty(rows, dtype=np.float64)
        if rows == 1:
            failed = self._library.LGBM_BoosterPredictForMatSingleRowFast(
                self._fast, inputs.ctypes.data, ctypes.byref(self._length), answer.ctypes.data
            )
        else:
            failed = self._library.LGBM_BoosterPredictForMat(
                self._handle,
                inputs.ctypes.data,
                _FLOAT64,
                rows,
                inputs.shape[1],
                _ROW_MAJOR,
                _NORMAL,
                0,
                _ALL,
                _PARAMETERS,
                ctypes.byref(self._length),
                answer.ctypes.data,
            )
        if failed:
            raise Invalid(
                "serving.prediction_failed",
                f"LightGBM could not predict: {_last_error(self._library)}.",
                hint="Compare the model's signature with the rows that were sent.",
            )
        return answer

    def explain(self, inputs: Array) -> Array:
        """What each input adds to the raw sum, and last the base (SHAP values). Any thread."""
        rows, width = inputs.shape
        answer = np.empty((rows, width + 1), dtype=np.float64)
        length = ctypes.c_int64()
        matrix = np.ascontiguousarray(inputs)
        if self._library.LGBM_BoosterPredictForMat(
            self._handle,
            matrix.ctypes.data,
            _FLOAT64,
            rows,
            width,
            _ROW_MAJOR,
            _CONTRIBUTIONS,
            0,
            _ALL,
            _PARAMETERS,
            ctypes.byref(length),
            answer.ctypes.data,
        ):
            raise Invalid(
                "serving.prediction_failed",
                f"LightGBM could not explain: {_last_error(self._library)}.",
                hint="Compare the model's signature with the rows that were sent.",
            )
        return answer

    def __del__(self) -> None:
        if self._fast:
            self._library.LGBM_FastConfigFree(self._fast)
        if self._handle:
            self._library.LGBM_BoosterFree(self._handle)


def _check_whole(text: bytes) -> None:
    # The library trusts the sizes in the header: on a shortened file it reads past the end and
    # takes the process with it. So the sizes must lead exactly to the mark behind the last tree.
    sizes, first = _TREES.search(text), text.find(_FIRST_TREE)
    if sizes is None or first < 0:
        raise _unreadable("it is not the text of a LightGBM model")
    end = first + 1 + sum(int(size) for size in sizes[1].split())
    if not text.startswith(_END, end):
        raise _unreadable("its trees are not as long as its header says")


_loading = threading.Lock()


def _library() -> ctypes.CDLL:
    with _loading:
        return _open_library()


@cache
def _open_library() -> ctypes.CDLL:
    spec = find_spec("lightgbm")
    folders = [Path(place) for place in (spec.submodule_search_locations or ())] if spec else []
    for folder in folders:
        for name in _LIBRARIES:
            for path in (folder / "lib" / name, folder / "bin" / name, folder / name):
                if path.is_file():
                    return _declare(ctypes.CDLL(str(path)))
    raise extra_missing("LightGBM", "lightgbm")


def _declare(library: ctypes.CDLL) -> ctypes.CDLL:
    pointer, number = ctypes.c_void_p, ctypes.c_int
    library.LGBM_GetLastError.restype = ctypes.c_char_p
    library.LGBM_BoosterPredictForMat.argtypes = [
        pointer, pointer, number, ctypes.c_int32, ctypes.c_int32, number, number, number, number,
        ctypes.c_char_p, pointer, pointer,
    ]  # fmt: skip
    library.LGBM_BoosterPredictForMatSingleRowFast.argtypes = [pointer] * 4
    library.LGBM_BoosterPredictForMatSingleRowFastInit.argtypes = [
        pointer, number, number, number, number, ctypes.c_int32, ctypes.c_char_p, pointer,
    ]  # fmt: skip
    return library


def _last_error(library: ctypes.CDLL) -> str:
    text: bytes = library.LGBM_GetLastError()
    return text.decode(errors="replace")


def _unreadable(why: str) -> Invalid:
    return unreadable(MODEL_FILE, why)
