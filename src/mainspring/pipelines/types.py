"""Executions and their steps, as values."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

import msgspec

from mainspring.core.digest import Digest
from mainspring.core.ids import ExecutionId

State = Literal["running", "done", "failed"]


class Execution(msgspec.Struct, frozen=True, kw_only=True):
    """One run of a pipeline. ``key`` names it for its caller: the same key finds it again."""

    id: ExecutionId
    pipeline: str
    key: str
    parameters: dict[str, Any]
    state: State
    started: datetime
    ended: datetime | None = None
    error: str = ""


class StepRun(msgspec.Struct, frozen=True, kw_only=True):
    """One step of an execution. ``cached``: its result was there already under the same key."""

    execution: ExecutionId
    number: int
    name: str
    key: Digest
    state: State
    cached: bool
    seconds: float
    result: Digest | None = None
    error: str = ""
