"""The runtime ``xgboost``: trees as XGBoost's JSON or UBJSON, predicted by the C library.

The library is called directly (its documented C interface, ``xgboost/c_api.h``), because importing
the Python package also imports scikit-learn and SciPy. XGBoost itself keeps inputs in 32 bits: the
answers are the library's own. A category that is unknown is missing.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from mainspring._adapters.xgboost.check import check_model
from mainspring.core.errors import Invalid
from mainspring.core.schema import Signature
from mainspring.registry.plan import Plan
from mainspring.serving.refusals import extra_missing, unreadable

Array = NDArray[np.float64]

JSON_FILE: Final = "model.json"
BINARY_FILE: Final = "model.ubj"
_LIBRARIES: Final = ("libxgboost.so", "libxgboost.dylib", "xgboost.dll")
_HOW: Final = (
    b'{"type": 0, "training": false, "iteration_begin": 0, "iteration_end": 0, '
    b'"missing": NaN, "strict_shape": false, "cache_id": 0}'
)


class XgboostRuntime:
    """Reads ``model.json`` or ``model.ubj``."""

    name = "xgboost"
    steady = True

    def load(
        self,
        files: Mapping[str, bytes],
        signature: Signature,
        plan: Plan | None = None,  # noqa: ARG002 - nothing in this file needs trust
    ) -> Booster:
        """The booster. Errors: ``serving.package_unreadable``, ``serving.extra_missing``."""
        file = JSON_FILE if JSON_FILE in files else BINARY_FILE
        if file not in files:
            raise unreadable(file, "it is not in the package")
        check_model(files[file], len(signature.inputs), file)
        return Booster(_library(), files[file], file, signature)


class Booster:
    """A booster in the C library's memory; freed with this object."""

    def __init__(self, library: ctypes.CDLL, data: bytes, file: str, signature: Signature) -> None:
        self._library = library
        self._handle = ctypes.c_void_p()
        self._categories = [
            place for place, one in enumerate(signature.inputs) if one.type == "category"
        ]
        if (
            library.XGBoosterCreate(None, ctypes.c_uint64(0), ctypes.byref(self._handle))
            or library.XGBoosterLoadModelFromBuffer(
                self._handle, ctypes.c_char_p(data), ctypes.c_uint64(len(data))
            )
            or library.XGBoosterSetParam(self._handle, b"nthread", b"1")
            or library.XGBoosterSetParam(self._handle, b"device", b"cpu")
        ):
            raise unreadable(file, _last_error(library))

    def predict(self, inputs: Array) -> Array:
        """One number per row: a probability for a logistic objective. One thread at a time."""
        rows = self._with_missing(inputs)
        shape, dimensions = ctypes.POINTER(ctypes.c_uint64)(), ctypes.c_uint64()
        result = ctypes.POINTER(ctypes.c_float)()
        where = {
            "data": [rows.ctypes.data, True],
            "shape": rows.shape,
            "typestr": "<f8",
            "version": 3,
        }
        if self._library.XGBoosterPredictFromDense(
            self._handle,
            ctypes.c_char_p(msgspec.json.encode(where)),
            ctypes.c_char_p(_HOW),
            None,
            ctypes.byref(shape),
            ctypes.byref(dimensions),
            ctypes.byref(result),
        ):
            raise Invalid(
                "serving.prediction_failed",
                f"XGBoost could not predict: {_last_error(self._library)}.",
                hint="Compare the model's signature with the rows that were sent.",
            )
        # The result lies in the library's memory until the next call.
        return np.ctypeslib.as_array(result, (len(rows),)).astype(np.float64)

    def _with_missing(self, inputs: Array) -> Array:
        if not self._categories:
            return inputs
        rows = inputs.copy()
        for place in self._categories:
            rows[rows[:, place] < 0, place] = np.nan
        return rows

    def __del__(self) -> None:
        if self._handle:
            self._library.XGBoosterFree(self._handle)


_loading = threading.Lock()


def _library() -> ctypes.CDLL:
    with _loading:
        return _open_library()


@cache
def _open_library() -> ctypes.CDLL:
    spec = find_spec("xgboost")
    folders = [Path(place) for place in (spec.submodule_search_locations or ())] if spec else []
    for folder in folders:
        for name in _LIBRARIES:
            if (folder / "lib" / name).is_file():
                library = ctypes.CDLL(str(folder / "lib" / name))
                library.XGBGetLastError.restype = ctypes.c_char_p
                return library
    raise extra_missing("XGBoost", "xgboost")


def _last_error(library: ctypes.CDLL) -> str:
    text: bytes = library.XGBGetLastError()
    return text.decode(errors="replace").strip().splitlines()[0][:300]
