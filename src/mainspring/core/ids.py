"""New identifiers: 32 hex digits, the first twelve of them the time, so newer sorts after older."""

from __future__ import annotations

import os
import time
from typing import NewType

RunId = NewType("RunId", str)
JobId = NewType("JobId", str)
ExecutionId = NewType("ExecutionId", str)
PredictionId = NewType("PredictionId", str)


def new_id() -> str:
    """A fresh identifier: 48 bits of milliseconds, 80 random bits (the layout of RFC 9562 UUIDv7)."""
    return f"{time.time_ns() // 1_000_000:012x}" + os.urandom(10).hex()
