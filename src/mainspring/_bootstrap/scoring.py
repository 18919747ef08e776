"""Scoring whole datasets: by the threads of this process, or part by part in others.

Another process is told where the workspace lies and which part is its own; it reads, scores and commits
that part by itself, so no rows travel. A part is one commit with a token of its own: done twice, it
is there once.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from mainspring._bootstrap.computing import open_compute
from mainspring._bootstrap.projecting import opening_of
from mainspring.core.errors import Conflict
from mainspring.serving.batch import BatchJob, Planned, Preparation, planned, score_part
from mainspring.serving.model import ServedModel, load_model

if TYPE_CHECKING:
    from mainspring._bootstrap.workspace import Workspace
    from mainspring.core.settings import Value
    from mainspring.data.versions import DatasetVersion
    from mainspring.ports.compute import Compute
    from mainspring.ports.tables import Tables
    from mainspring.projects.scoring import Scored, Scoring

_LEAST_MEMORY_MB: Final = 128
WORK: Final = f"{__name__}:score"


@dataclass(frozen=True, slots=True)
class Manner:
    """How a dataset is scored: by how many processes (0: in this one), where, in parts how large."""

    workers: int = 0
    on: str = ""
    rows_per_part: int = 0


class PartsOfScoring(msgspec.Struct, frozen=True):
    """Which scoring a part belongs to, in words that every process understands."""

    folder: str
    here: str
    settings: dict[str, str | int | bool]
    version: str
    source: str
    output: str
    rows_per_part: int
    name: str


class _Piece(msgspec.Struct, frozen=True):
    scored: PartsOfScoring
    part: int


@dataclass(frozen=True, slots=True)
class _Ready:
    """A scoring as one process holds it, from its first part on."""

    tables: Tables
    job: BatchJob
    models: list[ServedModel]
    plan: Planned


def score_dataset(
    workspace: Workspace,
    address: str,
    source: str,
    output: str,
    report: Callable[[Any], None],
    *,
    how: Manner = Manner(),  # noqa: B008 - a frozen value
) -> Scored:
    """A dataset (``NAME`` or ``NAME@VERSION``) scored by the version that the address names.

    Errors: those of :class:`mainspring.projects.scoring.Scoring` and of the compute port.
    """
    from mainspring.projects.scoring import chosen_version

    scoring, dataset, preparation = scoring_of(workspace, source, how.rows_per_part)
    version = chosen_version(workspace.registry, address)
    compute = open_compute(workspace, how.workers, how.on)
    if compute is None:
        return scoring.run(version, dataset, output, preparation=preparation, report=report)
    told = _told(workspace, (version.address, dataset.name, output), how, compute.workers)

    def elsewhere(plan: Planned, parts: Sequence[int]) -> Iterator[int]:
        return spread(compute, msgspec.structs.replace(told, name=plan.name), parts)

    try:
        spreading = dataclasses.replace(scoring, threads=1, elsewhere=elsewhere)
        return spreading.run(version, dataset, output, preparation=preparation, report=report)
    finally:
        compute.close()


def scoring_of(
    workspace: Workspace, source: str, rows_per_part: int = 0
) -> tuple[Scoring, DatasetVersion, Callable[[], Preparation]]:
    """The scoring of datasets in this process, the dataset, and how its features are made."""
    from mainspring._bootstrap.workspace import runtimes
    from mainspring.projects.scoring import Scoring, preparation_of

    name, _, number = source.partition("@")
    scoring = Scoring(
        workspace.features,
        lambda digest: load_model(digest, workspace.objects.get, runtimes(workspace.settings)),
        workspace.threads,
        rows_per_part=rows_per_part,
    )

    def preparation() -> Preparation:
        definition = opening_of(workspace, lambda _text: None).definition()
        return preparation_of(workspace.project, definition, workspace.features)

    dataset = workspace.datasets.show(name, int(number) if number.isdigit() else None)
    return scoring, dataset, preparation


def _told(
    workspace: Workspace, what: tuple[str, str, str], how: Manner, workers: int
) -> PartsOfScoring:
    version, source, output = what
    return PartsOfScoring(
        folder=str(workspace.folder),
        here=str(Path.cwd()),
        settings=settings_of(workspace, workers),
        version=version,
        source=source,
        output=output,
        rows_per_part=how.rows_per_part,
        name="",
    )


def spread(compute: Compute, scored: PartsOfScoring, parts: Sequence[int]) -> Iterator[int]:
    """The rows of each part, as they end."""
    pieces = (msgspec.msgpack.encode(_Piece(scored, part)) for part in parts)
    for answer in compute.run(WORK, pieces):
        yield int(answer)


def score(piece: bytes) -> bytes:
    """Scores one part, in a process of :class:`mainspring.ports.compute.Compute`."""
    asked = msgspec.msgpack.decode(piece, type=_Piece)
    ready = _ready(msgspec.msgpack.encode(asked.scored))
    rows = score_part(ready.tables, ready.job, ready.models, ready.plan, asked.part)
    return str(rows).encode()


def settings_of(workspace: Workspace, workers: int) -> dict[str, Value]:
    """The settings for one of several processes: one thread, and its share of the memory."""
    # The token is of no use to them, and shall not lie on another machine.
    told = {name: one.value for name, one in workspace.settings.items() if not one.setting.secret}
    memory = max(_LEAST_MEMORY_MB, int(workspace.setting("query_memory_mb")) // workers)
    return {**told, "threads": 1, "query_memory_mb": memory, "url": "", "workspace": ""}


@lru_cache(maxsize=1)
def _ready(data: bytes) -> _Ready:
    from mainspring._bootstrap.workspace import open_workspace

    scored = msgspec.msgpack.decode(data, type=PartsOfScoring)
    if Path(scored.here).is_dir():
        os.chdir(scored.here)  # a project may be found from there
    given = {name: value for name, value in scored.settings.items() if name != "workspace"}
    workspace = open_workspace(scored.folder, given=given)
    with ExitStack() as undo:
        undo.callback(workspace.close)
        ready = _made_ready(workspace, scored)
        undo.pop_all()  # it stays open for the parts to come
    return ready


def _made_ready(workspace: Workspace, scored: PartsOfScoring) -> _Ready:
    from mainspring.projects.scoring import chosen_version

    scoring, source, preparation = scoring_of(workspace, scored.source, scored.rows_per_part)
    version = chosen_version(workspace.registry, scored.version)
    job, models, _ = scoring.job(version, source, scored.output, preparation=preparation)
    plan = planned(workspace.tables, job, models[0])
    if plan.name != scored.name:
        raise Conflict(
            "serving.parts_differ",
            "A worker process would score something else than it was asked to.",
            hint="Give all machines the same version of Mainspring, and the same project and folders.",
        )
    return _Ready(workspace.tables, job, models, plan)
