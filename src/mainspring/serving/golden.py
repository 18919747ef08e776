"""The golden sample of a package: rows with the answers their model gave when it was packaged.

Stored as JSON: ``{"version": 1, "inputs": {NAME: [value or null, ...], ...}, "score": [...],
"tolerance": 1e-9}``; numbers for numeric inputs, strings for categories; ``score`` after
calibration. A version that answers its golden sample differently takes no traffic.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from mainspring.core.errors import Broken
from mainspring.core.schema import Signature
from mainspring.ports.tables import Frame

GOLDEN_FILE: Final = "golden.json"
TOLERANCE: Final = 1e-9


class Golden(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Sample rows and the scores that a good copy of the model gives them."""

    inputs: dict[str, tuple[float | str | None, ...]]
    score: tuple[float, ...]
    tolerance: float = TOLERANCE
    version: int = 1

    @property
    def rows(self) -> int:
        return len(self.score)


def golden_bytes(
    signature: Signature,
    rows: Frame,
    score: NDArray[np.float64],
    *,
    tolerance: float = TOLERANCE,
) -> bytes:
    """The golden file for some rows and the scores (after calibration) of the model in hand."""
    inputs = {
        column.name: [_plain(value) for value in rows[column.name].tolist()]
        for column in signature.inputs
    }
    return msgspec.json.encode(
        {"version": 1, "inputs": inputs, "score": score.tolist(), "tolerance": tolerance}
    )


def read_golden(data: bytes, signature: Signature) -> Golden:
    """The sample, once it fits the signature. Errors: ``serving.golden_unreadable``."""
    try:
        golden = msgspec.json.decode(data, type=Golden)
    except msgspec.MsgspecError as error:
        raise _unreadable(str(error)) from error
    if golden.version != 1:
        raise _unreadable(f"version {golden.version} is not known")
    if set(golden.inputs) != {column.name for column in signature.inputs}:
        raise _unreadable("its inputs are not those of the signature")
    if any(len(values) != golden.rows for values in golden.inputs.values()):
        raise _unreadable("its columns differ in length")
    return golden


def golden_frame(golden: Golden, signature: Signature) -> dict[str, NDArray[Any]]:
    """The sample's inputs as columns of a frame."""
    return {
        column.name: np.array(
            golden.inputs[column.name], dtype=np.float64 if column.type == "number" else object
        )
        for column in signature.inputs
    }


def check_golden(golden: Golden, score: NDArray[np.float64]) -> None:
    """Nothing, or an error: the scores are those on record. Errors: ``serving.golden_differs``."""
    gap = float(np.max(np.abs(score - np.array(golden.score)), initial=0.0))
    if gap > golden.tolerance:
        raise Broken(
            "serving.golden_differs",
            f"The model answers its golden sample up to {gap:.3g} off what it answered in training.",
            hint="Compare library versions with the manifest's environment, then package it again.",
            largest_gap=gap,
            tolerance=golden.tolerance,
        )


def _plain(value: Any) -> Any:
    return None if value is None or value != value else value  # noqa: PLR0124 - NaN


def _unreadable(why: str) -> Broken:
    return Broken(
        "serving.golden_unreadable",
        f"The golden sample cannot be read: {why}.",
        hint="Package the model again from its training run.",
    )
