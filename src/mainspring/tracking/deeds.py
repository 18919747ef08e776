"""What a run does besides logging values, as records that can wait on disk and be done later.

Each names what it makes, so doing it twice does what doing it once does.
"""

from __future__ import annotations

import msgspec

from mainspring.tracking.types import DatasetInput, Status


class Begun(msgspec.Struct, array_like=True, tag="begun", frozen=True, kw_only=True):
    """A run begins, in an experiment by name or else by identifier."""

    run_id: str
    name: str
    start_ms: int
    experiment: str = ""
    experiment_id: str = "0"
    user: str = ""
    tags: dict[str, str] = {}


class Resumed(msgspec.Struct, array_like=True, tag="resumed", frozen=True):
    """A run that exists goes on."""

    run_id: str


class Ended(msgspec.Struct, array_like=True, tag="ended", frozen=True):
    """A run ends."""

    run_id: str
    status: Status
    end_ms: int


class Read(msgspec.Struct, array_like=True, tag="read", frozen=True):
    """A run read datasets."""

    run_id: str
    datasets: list[DatasetInput]


class Kept(msgspec.Struct, array_like=True, tag="kept", frozen=True):
    """A run's artifact, whose bytes wait in a file of the spool."""

    run_id: str
    path: str
    file: str


class Made(msgspec.Struct, array_like=True, tag="made", frozen=True, kw_only=True):
    """A run made a model; ``files`` are paths below it, each with its file in the spool."""

    run_id: str
    model_id: str
    name: str
    step: int = 0
    model_type: str = ""
    params: dict[str, str] = {}
    tags: dict[str, str] = {}
    files: list[tuple[str, str]] = []


Deed = Begun | Resumed | Ended | Read | Kept | Made
