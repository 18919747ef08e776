"""From a score to a decision: the policy that a model is released with, as a file of its package.

``policy.json`` holds one of three; without it the manifest's threshold decides::

    {"kind": "threshold", "threshold": 0.3}
    {"kind": "cost_per_row", "column": "amount", "false_positive": 5.0}
    {"kind": "capacity", "threshold": 0.3, "most": 50, "window_micros": 86400000000}
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from mainspring.core.errors import Broken, Invalid

POLICY_FILE: Final = "policy.json"
WINDOWS_KEPT: Final = 64

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]


class Threshold(msgspec.Struct, frozen=True, tag="threshold", tag_field="kind"):
    """Yes at or above the threshold."""

    threshold: float


class CostPerRow(msgspec.Struct, frozen=True, tag="cost_per_row", tag_field="kind"):
    """Yes where it costs no more on average than no; ``column`` tells what missing the row costs.

    With a chance p: yes costs p * true_positive + (1 - p) * false_positive, no costs p * the
    column + (1 - p) * true_negative.
    """

    column: str
    false_positive: float
    true_positive: float = 0.0
    true_negative: float = 0.0


class Capacity(msgspec.Struct, frozen=True, tag="capacity", tag_field="kind"):
    """Yes at or above the threshold, for at most so many rows of a window of event time."""

    threshold: float
    most: int
    window_micros: int


Policy = Threshold | CostPerRow | Capacity
_decoder = msgspec.json.Decoder(Policy)


def read_policy(data: bytes | None) -> Policy | None:
    """The policy in a package's file, or None. Errors: ``serving.package_unreadable``."""
    if data is None:
        return None
    try:
        policy: Policy = _decoder.decode(data)
    except msgspec.MsgspecError as error:
        raise Broken(
            "serving.package_unreadable",
            f"{POLICY_FILE} cannot be read: {error}.",
            hint="Package the model again with this version of Mainspring.",
            file=POLICY_FILE,
        ) from error
    return policy


def wanted_column(policy: Policy | None) -> str | None:
    """The column of a row that the policy reads besides the score."""
    return policy.column if isinstance(policy, CostPerRow) else None


class Hands:
    """How much of each window's capacity is taken. One thread at a time.

    The windows kept are the newest: a row of an older one finds no hand free.
    """

    def __init__(self) -> None:
        self._taken: OrderedDict[int, int] = OrderedDict()
        self._oldest = -(2**62)

    def take(
        self, wanted: Flags, score: Array, times: NDArray[np.int64], policy: Capacity
    ) -> Flags:
        """Which of the wanted rows get a hand: the highest scores of each window first."""
        given = np.zeros(len(wanted), dtype=np.bool_)
        windows = times // policy.window_micros
        rows = np.flatnonzero(wanted)
        for row in rows[np.argsort(-score[rows], kind="stable")].tolist():
            window = int(windows[row])
            taken = self._taken.get(window, 0)
            if window >= self._oldest and taken < policy.most:
                self._taken[window] = taken + 1
                given[row] = True
        while len(self._taken) > WINDOWS_KEPT:
            oldest = min(self._taken)
            del self._taken[oldest]
            self._oldest = oldest + 1
        return given


def decide(
    policy: Policy,
    score: Array,
    columns: Mapping[str, NDArray[Any]],
    times: NDArray[np.int64],
    hands: Hands | None,
) -> Flags:
    """Yes or no per row. Without ``hands`` (a copy that nobody acts on) capacity does not count.

    Errors: ``serving.missing_input``, ``serving.bad_value``.
    """
    if isinstance(policy, CostPerRow):
        miss = _costs(policy, columns)
        yes = score * policy.true_positive + (1 - score) * policy.false_positive
        no = score * miss + (1 - score) * policy.true_negative
        dear: Flags = yes <= no
        return dear
    wanted: Flags = score >= policy.threshold
    if isinstance(policy, Threshold) or hands is None:
        return wanted
    return hands.take(wanted, score, times, policy)


def _costs(policy: CostPerRow, columns: Mapping[str, NDArray[Any]]) -> Array:
    if policy.column not in columns:
        raise Invalid(
            "serving.missing_input",
            f"The request lacks {policy.column!r}, by which the decision is made.",
            hint="Send what missing each row would cost.",
            missing=[policy.column],
        )
    costs = columns[policy.column].astype(np.float64)
    if not np.isfinite(costs).all():
        raise Invalid(
            "serving.bad_value",
            f"A value of {policy.column!r} is not a cost.",
            hint="The decision needs a number for every row.",
            input=policy.column,
        )
    return costs
