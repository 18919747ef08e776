"""Scoring a whole table: part by part, out of core, resumable; every row once.

The rows are dealt into parts by a stable hash of their key, so a part is the same rows whenever it
is asked for. Each part is one append whose token names source version, model and part: a run that
died goes on where it was, and a part that was written is never written again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from mainspring.core.digest import digest_of
from mainspring.core.errors import Invalid, NotFound
from mainspring.core.names import did_you_mean
from mainspring.ports.tables import Frame, Tables, TableVersion
from mainspring.serving.model import Scores, ServedModel

ROWS_PER_PART: Final = 200_000
PART_BYTES: Final = 64 << 20
_REFUSED: Final = "serving.prediction_failed"
_ADDED: Final = ("score", "decision", "model_version")


@dataclass(frozen=True, slots=True)
class Preparation:
    """What turns rows of the source into inputs: the columns it reads, and one row out per row in.

    ``digest`` tells one preparation from another: what was scored after another is scored anew.
    """

    columns: tuple[str, ...]
    made: Callable[[Frame], Frame]
    digest: str


@dataclass(frozen=True, slots=True)
class BatchJob:
    """What to score into which table. ``key`` names the columns that tell rows apart.

    ``filter`` narrows the source by a condition in SQL over its columns.
    """

    source: TableVersion
    target: str
    key: tuple[str, ...]
    version: str
    filter: str | None = None
    rows_per_part: int = ROWS_PER_PART
    preparation: Preparation | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a job is; ``rows`` counts what this run has scored."""

    parts_done: int
    parts: int
    rows: int


class Planned(msgspec.Struct, frozen=True):
    """A job cut into parts. ``name`` tells it from every other: by it a part is known as done."""

    source: TableVersion
    where: str
    parts: int
    name: str


# Does the given parts of a plan, and gives the number of rows of each, in whatever order.
Elsewhere = Callable[[Planned, Sequence[int]], Iterable[int]]


def planned(tables: Tables, job: BatchJob, model: ServedModel) -> Planned:
    """The parts of a job, the same whenever and wherever it is planned.

    Errors: ``serving.no_key``, ``serving.missing_input``, and those of the tables.
    """
    source = TableVersion(job.source.name, job.source.version)
    if source.version is None:
        source = TableVersion(source.name, tables.version(source.name))
    _check_columns(tables, source, job, model)
    where = f"({job.filter})" if job.filter else "true"
    count = tables.query(f"select count(*) as n from source where {where}", {"source": source})
    parts = max(1, -(-int(count["n"][0]) // job.rows_per_part))
    return Planned(source, where, parts, _job_digest(job, source, model, parts))


def score_part(
    tables: Tables, job: BatchJob, models: Sequence[ServedModel], plan: Planned, part: int
) -> int:
    """Scores one part, in one commit; how many rows. A part that is there already stays as it is."""
    sql = _part_query(job, models[0], plan.where, (part, plan.parts))
    frame = tables.query(sql, {"source": plan.source})
    return _score_part(tables, job, models, frame, f"{plan.name}:{part}")


def score_table(
    tables: Tables,
    job: BatchJob,
    models: Sequence[ServedModel],
    *,
    report: Callable[[Progress], None] = lambda _progress: None,
    elsewhere: Elsewhere | None = None,
) -> Progress:
    """Scores every row of the source into the target: key, score, decision, model version.

    ``models`` are copies of one model, one per core to use; ``elsewhere`` does the parts in other
    processes instead. The target may hold other runs' rows; those of this job are told apart by
    ``model_version``. Memory: about one part at a time, in each process.
    Errors: ``serving.no_key``, ``serving.missing_input``, ``serving.bad_output``, and those of the
    tables.
    """
    plan = planned(tables, job, models[0])
    done = _parts_done(tables, job.target, plan.name)
    left = [part for part in range(plan.parts) if part not in done]
    rows, ended = 0, plan.parts - len(left)
    scored = (
        (score_part(tables, job, models, plan, part) for part in left)
        if elsewhere is None
        else elsewhere(plan, left)
    )
    if ended:
        report(Progress(ended, plan.parts, rows))
    for some in scored:
        rows, ended = rows + some, ended + 1
        report(Progress(ended, plan.parts, rows))
    return Progress(plan.parts, plan.parts, rows)


def _score_part(
    tables: Tables, job: BatchJob, models: Sequence[ServedModel], frame: Frame, token: str
) -> int:
    rows = len(frame[job.key[0]])
    if rows == 0:
        return 0
    inputs = job.preparation.made(frame) if job.preparation else frame
    try:
        scores = _score(models, inputs, rows)
    except Invalid as error:
        if error.code != _REFUSED:
            raise
        raise _of_row(error, _first_refused(models[0], inputs, rows), job, frame) from error
    written: dict[str, NDArray[Any]] = {name: frame[name] for name in job.key}
    written["score"] = scores.score
    if scores.decision is not None:
        written["decision"] = scores.decision
    version = np.empty(rows, dtype=object)
    version[:] = job.version
    written["model_version"] = version
    tables.append(job.target, written, token=token)
    return rows


def _score(models: Sequence[ServedModel], frame: Frame, rows: int) -> Scores:
    edges = np.linspace(0, rows, len(models) + 1).astype(int).tolist()
    slices = [
        (model, slice(start, stop))
        for model, start, stop in zip(models, edges[:-1], edges[1:], strict=True)
        if stop > start
    ]

    with ThreadPoolExecutor(len(slices)) as pool:
        scored = list(pool.map(lambda piece: _scored(piece[0], piece[1], frame), slices))
    decisions = [scores.decision for scores in scored if scores.decision is not None]
    return Scores(
        np.concatenate([scores.score for scores in scored]),
        np.concatenate(decisions) if len(decisions) == len(scored) else None,
    )


def _scored(model: ServedModel, some: slice, frame: Frame) -> Scores:
    columns = {name: _as_input(frame[name][some], model, name) for name in model.names}
    return model.score(model.encode(columns, some.stop - some.start))


def _first_refused(model: ServedModel, frame: Frame, rows: int) -> int:
    """The place of a row that the model refuses, found by halving."""
    low, high = 0, rows
    while high - low > 1:
        middle = (low + high) // 2
        try:
            _scored(model, slice(low, middle), frame)
        except Invalid:
            high = middle
        else:
            low = middle
    return low


def _of_row(error: Invalid, row: int, job: BatchJob, frame: Frame) -> Invalid:
    """The same error, with the key of a row that it is about."""
    told = ", ".join(f"{name} {str(frame[name][row])[:80]!r}" for name in job.key)
    return Invalid(
        "serving.prediction_failed",
        f"{error.message.rstrip('.')}, as in the row of {told}.",
        hint=error.hint,
        **error.facts,
        row=told,
    )


def _as_input(column: NDArray[Any], model: ServedModel, name: str) -> NDArray[Any]:
    if model.order.labels[model.order.places[name]] is None:
        return column.astype(np.float64, copy=False)
    return column


def _part_query(job: BatchJob, model: ServedModel, where: str, part: tuple[int, int]) -> str:
    number, parts = part
    wanted = job.preparation.columns if job.preparation else model.names
    names = dict.fromkeys((*job.key, *wanted))
    columns = ", ".join(_quoted(name) for name in names)
    # MD5 for its stability: the engine's own hash may change with its version.
    key = ", ".join(_quoted(name) for name in job.key)
    dealt = f"md5_number_lower(concat_ws(chr(31), {key})) % {parts} = {number}"
    return f"select {columns} from source where {where} and {dealt}"


def _check_columns(tables: Tables, source: TableVersion, job: BatchJob, model: ServedModel) -> None:
    columns = {column.name: column.type for column in tables.schema(source).columns}
    if not job.key or not set(job.key) <= columns.keys():
        raise Invalid(
            "serving.no_key",
            f"The table {source.name!r} has no key of the columns {', '.join(job.key) or '(none)'}.",
            hint="Name the columns that tell its rows apart.",
        )
    if set(job.key) & set(_ADDED):
        raise Invalid(
            "serving.no_key",
            f"A key column may not be called {', '.join(_ADDED)}: the scores have those names.",
            hint="Rename the column in a view of the table.",
        )
    if job.preparation is not None:
        return
    for name in model.names:
        if name not in columns:
            raise NotFound(
                "serving.missing_input",
                f"The table {source.name!r} lacks the input {name!r}.",
                hint=did_you_mean(name, columns),
                input=name,
            )
        is_text = columns[name] == "string"
        if is_text == (model.order.labels[model.order.places[name]] is None):
            raise Invalid(
                "serving.bad_value",
                f"The column {name!r} is {columns[name]}, which is not what the model takes.",
                hint="Numbers for numeric inputs, strings for categories.",
                input=name,
            )


def part_rows(columns: int) -> int:
    """How many rows of so many columns make a part that is held in memory at once."""
    return max(1_000, min(ROWS_PER_PART, PART_BYTES // (8 * max(1, columns))))


def _job_digest(job: BatchJob, source: TableVersion, model: ServedModel, parts: int) -> str:
    said = [source.name, source.version, model.digest, job.version, job.filter, job.key, parts]
    if job.preparation is not None:
        said.append(job.preparation.digest)
    return f"batch:{digest_of(said).removeprefix('sha256:')[:32]}"


def _parts_done(tables: Tables, target: str, name: str) -> set[int]:
    if not tables.exists(target):
        return set()
    tokens = [commit.token for commit in tables.history(target) if commit.token is not None]
    return {int(token.rpartition(":")[2]) for token in tokens if token.startswith(f"{name}:")}


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
