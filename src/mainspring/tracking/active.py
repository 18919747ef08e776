"""What training code holds: a run to log to, and where runs are started and found."""

from __future__ import annotations

import contextlib
import io
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from time import time_ns
from types import TracebackType
from typing import Any, Final, Self

import msgspec
from msgspec.structs import replace

from mainspring.core.errors import Invalid, NotFound, Unavailable
from mainspring.core.ids import RunId, new_id
from mainspring.tracking.artifacts import check_path
from mainspring.tracking.columns import Columns
from mainspring.tracking.deeds import Begun, Deed, Ended, Kept, Made, Read, Resumed
from mainspring.tracking.expressions import Condition, listed
from mainspring.tracking.inputs import check_datasets, dataset_ref
from mainspring.tracking.limits import MAX_INT, MAX_RUN_NAME, MIN_INT, check_name, check_text
from mainspring.tracking.lines import Line
from mainspring.tracking.nesting import PARENT_TAG
from mainspring.tracking.recording import (
    Recorder,
    check_params,
    check_tags,
    whole,
)
from mainspring.tracking.run_table import Frames, RunTable, table_document
from mainspring.tracking.sending import Content
from mainspring.tracking.types import Dataset, DatasetInput, Run, Status
from mainspring.tracking.words import run_name

NOTE_TAG: Final = "mlflow.note.content"
INCOMPLETE_TAG: Final = "mainspring.incomplete"
_BLOCK_BYTES: Final = 1 << 20


class Surroundings(msgspec.Struct, frozen=True):
    """What a run was made in: tags to search by, and files to look into."""

    tags: dict[str, str] = {}
    files: dict[str, bytes] = {}


Capture = Callable[[], Surroundings]
Watch = Callable[["ActiveRun"], Callable[[], None]]  # begins to watch a run; what ends that


class ActiveRun:
    """A run that is being recorded. Leaving its ``with`` block ends it: FINISHED, or FAILED.

    What the store cannot take now waits on disk and is sent later: nothing here waits long for a
    store, and nothing raises because it is away, but :meth:`flush`.

    Concurrency: any thread may log. ``log`` returns at once; :meth:`flush` waits until all is
    durable.
    """

    def __init__(self, run: Run, started: Started) -> None:
        self.id = run.id
        self.name = run.name
        self.experiment_id = run.experiment_id
        self._started = started
        self._recorder = started.recorder
        self._line: Line = started.recorder.line(run.id)
        self._queue, self._known = self._line.calls.append, self._line.known
        self._step = max((point.step for point in run.metrics), default=-1)
        self._watches = [watch(self) for watch in started.watches]
        started.live.append(self)

    def log(self, values: Mapping[str, float], *, step: int | None = None) -> None:
        """Takes values of metrics at a step; without one, at the step after the last.

        Errors: ``tracking.bad_value`` for a name that can never be stored, told at its first use.
        """
        # Half a million calls a second pass by here: each word of it was measured.
        if step is None:
            step = self._step + 1
        elif type(step) is not int or not MIN_INT <= step <= MAX_INT:
            step = whole(step)  # NumPy's, for one; no spool takes it
        # A copy, in one step: another thread may change the dictionary meanwhile.
        values = values.copy() if type(values) is dict else _numbers(values)
        for value in values.values():
            if type(value) is not float:
                values = _numbers(values)
                break
        names = tuple(values)
        names = self._known.get(names) or self._line.know(names, step)
        self._step = step
        self._queue((names, step, time_ns(), *values.values()))

    def sample(self, values: Mapping[str, float], step: int) -> None:
        """Takes values that have steps of their own, such as the machine's."""
        names = self._line.know(tuple(values), step)
        self._queue((names, step, time_ns(), *_numbers(values).values()))

    def params(self, values: Mapping[str, Any]) -> None:
        """Takes parameters; each is written once."""
        self._line.params.extend(check_params(values))

    def tags(self, values: Mapping[str, Any]) -> None:
        """Sets tags."""
        self._line.tags.extend(check_tags(values))

    def note(self, text: str) -> None:
        """Sets the run's description, in Markdown."""
        self.tags({NOTE_TAG: text})

    def dataset(self, name: str, digest: str, *, context: str = "", source: str = "") -> str:
        """Notes a dataset version that this run read; its reference in the lineage."""
        dataset = Dataset(name=name, digest=digest, source=source, source_type="mainspring")
        tags = {"mlflow.data.context": context} if context else {}
        entries = [DatasetInput(dataset, tags)]
        check_datasets(entries)
        read = Read(self.id, entries)
        self._do("A dataset", lambda: self._recorder.sender.do(read), lambda: read)
        return dataset_ref(dataset)

    def artifact(self, name: str, content: bytes | bytearray | memoryview | str | Path) -> None:
        """Stores bytes, text, a file or a folder (paths) under a name; durable when it returns.

        Errors: ``tracking.bad_value`` for a name or content that no artifact has,
        ``tracking.no_such_file``.
        """
        if isinstance(content, Path) and content.is_dir():
            for path, file in _files_in(content).items():
                self.artifact(f"{name}/{path}", file)
            return
        check_path(name)
        sender = self._recorder.sender
        data = content_of(content)
        self._do(
            f"The artifact {name}",
            lambda: sender.put(self.id, name, data),
            lambda: Kept(self.id, name, self._wait(data)),
        )

    def model(
        self,
        name: str,
        files: Mapping[str, bytes | str | Path] | Path,
        *,
        kind: str = "",
        params: Mapping[str, Any] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> str:
        """Stores a model that this run made, from files by path or a folder; its ``models:/`` URI.

        The URI is what a version is registered from.
        """
        if isinstance(files, Path):
            files = _files_in(files)
        contents = {check_path(path): content_of(one) for path, one in files.items()}
        made = Made(
            run_id=self.id,
            model_id=f"m-{new_id()}",
            name=name,
            step=max(self._step, 0),
            model_type=kind,
            params=dict(check_params(params or {})),
            tags=dict(check_tags(tags or {})),
        )
        self._do(
            f"The model {name}",
            lambda: self._recorder.sender.make(made, contents),
            lambda: replace(made, files=[(p, self._wait(one)) for p, one in contents.items()]),
        )
        return f"models:/{made.model_id}"

    def figure(self, name: str, figure: Any) -> None:
        """Stores a Matplotlib figure, or whatever has ``savefig``, as the format its name ends in."""
        buffer = io.BytesIO()
        figure.savefig(buffer, format=Path(name).suffix.lstrip(".") or "png")
        self.artifact(name, buffer.getvalue())

    def table(
        self, name: str, columns: Mapping[str, Iterable[Any]] | Iterable[Mapping[str, Any]]
    ) -> None:
        """Stores columns of equal length, or rows, as JSON, as MLflow's ``log_table`` has it.

        Errors: ``tracking.bad_table`` for columns of different lengths or values without a text.
        """
        self.artifact(name, table_document(columns))

    def start(self, name: str = "", **options: Any) -> ActiveRun:
        """A run inside this one."""
        tags = {**options.pop("tags", {}), PARENT_TAG: self.id}
        return self._started.start(name, experiment_id=self.experiment_id, tags=tags, **options)

    def flush(self) -> None:
        """Returns once all that was logged is durable. Errors: ``tracking.not_sent``."""
        self._recorder.flush(self.id)

    def end(self, status: Status = "FINISHED") -> None:
        """Ends the run, behind all that was logged to it: now, or once the store is back."""
        self.unwatch()
        self._recorder.end(Ended(self.id, status, time_ns() // 1_000_000))

    def unwatch(self) -> None:
        """Ends what watches the run, without ending it."""
        watches, self._watches = self._watches, []
        for stop in watches:
            stop()
        with contextlib.suppress(ValueError):
            self._started.live.remove(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self.end("FINISHED")
        else:
            self.end("KILLED" if issubclass(kind, KeyboardInterrupt) else "FAILED")

    def _do(self, what: str, work: Callable[[], object], later: Callable[[], Deed]) -> None:
        try:
            self._recorder.do(work, later)
        except Unavailable as error:
            # Neither the store nor the spool has room: training goes on, and the run says so.
            self._recorder.say(f"mainspring: {what} is not kept ({error.message})")
            self.tags({INCOMPLETE_TAG: f"{what} was not kept: {error.message}"})

    def _wait(self, content: Content) -> str:
        """The name of a file in the spool that holds these bytes."""
        data = content()
        return self._recorder.sender.files.put([data] if isinstance(data, bytes) else data)


@dataclass(frozen=True, slots=True)
class Started:
    """Runs as training code starts and finds them: ``workspace.runs``."""

    recorder: Recorder
    capture: Capture = Surroundings
    watches: tuple[Watch, ...] = ()
    frames: Frames | None = None
    live: list[ActiveRun] = field(default_factory=list)
    let_go: Callable[[], None] | None = None  # of the spool, once the recorder is done with it

    def start(
        self,
        name: str = "",
        *,
        experiment: str = "",
        experiment_id: str = "0",
        params: Mapping[str, Any] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> ActiveRun:
        """A new run with what it was made in: code, command, environment, hardware.

        Errors: ``tracking.bad_value``, ``tracking.experiment_deleted``. A store that is away is
        none: the run begins, and is stored once the store is back.
        """
        pairs = check_params(params or {})
        around = self.capture()
        begun = Begun(
            run_id=new_id(),
            name=check_name("a run", name or run_name(), MAX_RUN_NAME),
            start_ms=time_ns() // 1_000_000,
            experiment=experiment,
            experiment_id=experiment_id,
            user=around.tags.get("mlflow.user", ""),
            tags={**around.tags, **dict(check_tags(tags or {}))},
        )
        sender = self.recorder.sender
        run = self.recorder.do(lambda: sender.begin(begun), lambda: begun)
        active = ActiveRun(run or _unknown(begun), self)
        for path, data in around.files.items():
            active.artifact(f"mainspring/{path}", data)
        active.params(dict(pairs))
        return active

    def resume(self, run_id: str) -> ActiveRun:
        """A run that exists, RUNNING again. Errors: ``tracking.run_not_found``."""
        resumed = Resumed(run_id)
        run = self.recorder.do(lambda: self.recorder.sender.resume(run_id), lambda: resumed)
        return ActiveRun(run or _unknown(Begun(run_id=run_id, name=run_id, start_ms=0)), self)

    def get(self, run_id: str) -> Run:
        """A run as it is stored. Errors: ``tracking.run_not_found``."""
        self.recorder.runs.end_lost()
        return self.recorder.runs.get(RunId(run_id))

    def history(self, run_id: str, key: str) -> Columns:
        """All points of a metric by time and step, as arrays that numpy reads without a copy."""
        found, token = self.recorder.runs.columns(run_id, key)
        while token:
            more, token = self.recorder.runs.columns(run_id, key, token=token)
            found += more
        return found

    def find(
        self,
        text: str | Condition = "",
        *,
        experiment: str = "",
        limit: int | None = None,
        page_size: int = 1000,
        **options: Any,
    ) -> Iterator[Run]:
        """The runs that match a filter, page by page; of all experiments unless one is named.

        ``limit`` is the most runs that are wanted, the first in the order.
        """
        self.recorder.runs.end_lost()
        experiments = self.recorder.sender.experiments
        ids = [experiments.named(experiment).id] if experiment else self._all()
        options["order_by"] = [str(one) for one in listed(options.get("order_by", ()))]
        token, left = None, sys.maxsize if limit is None else limit
        while left > 0:
            page = self.recorder.runs.search(
                ids, str(text), token=token, limit=min(left, page_size), **options
            )
            yield from page.items
            token, left = page.next_token, left - len(page.items)
            if token is None:
                return

    def search(
        self, text: str | Condition = "", *, experiment: str = "", **options: Any
    ) -> RunTable:
        """The runs that match a filter as columns of equal length; what a run lacks is None.

        ``text`` is MLflow's filter language, or an expression of :func:`metric`, :func:`param`,
        :func:`tag` and :func:`attribute`.
        """
        return RunTable.of(self.find(text, experiment=experiment, **options), self.frames)

    def compare(self, *run_ids: str) -> RunTable:
        """Some runs as columns, in the order named."""
        return RunTable.of((self.get(run_id) for run_id in run_ids), self.frames)

    def sync(self) -> int:
        """How many records waited on disk, once all are sent. Errors: ``tracking.not_sent``."""
        self.recorder.flush()
        return self.recorder.adopted

    def close(self) -> None:
        """Sends what is queued and lets go; runs that have not ended are left as they are."""
        for run in list(self.live):
            run.unwatch()
        self.recorder.close()
        if self.let_go is not None:
            self.let_go()

    def _all(self) -> list[str]:
        return [one.id for one in self.recorder.sender.experiments.search(limit=50_000).items]


def _unknown(begun: Begun) -> Run:
    """A run that no store has seen yet."""
    return Run(
        id=RunId(begun.run_id),
        experiment_id=begun.experiment_id,
        name=begun.name,
        status="RUNNING",
        start_ms=begun.start_ms,
        artifact_uri="",
    )


def _numbers(values: Mapping[str, float]) -> dict[str, float]:
    """Values as Python's own numbers, whatever library made them. Errors: ``tracking.bad_value``."""
    try:
        return {key: float(value) for key, value in values.items()}
    except (AttributeError, TypeError, ValueError) as error:
        raise Invalid(
            "tracking.bad_value", f"A metric is a number ({error}).", hint="Log text as a tag."
        ) from error


def content_of(content: object) -> Content:
    """What gives the bytes, as often as they are asked for.

    Errors: ``tracking.no_such_file``, ``tracking.bad_value`` for what is neither bytes nor text.
    """
    if isinstance(content, Path):
        if not content.is_file():
            raise _no_such_file(content)
        return lambda: _blocks(content)
    if isinstance(content, str):
        data = check_text("The text of an artifact", content).encode()
    elif isinstance(content, bytes | bytearray | memoryview):
        data = bytes(content)
    else:
        raise Invalid(
            "tracking.bad_value",
            f"An artifact is bytes, text or a path, not {type(content).__name__}.",
            hint="Write JSON as text, columns with run.table, a figure with run.figure.",
        )
    return lambda: data


def _files_in(folder: Path) -> dict[str, Path]:
    """All files below a folder by path. Errors: ``tracking.no_such_file`` when there is none."""
    found = {
        path.relative_to(folder).as_posix(): path
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
    if not found:
        raise _no_such_file(folder)
    return found


def _no_such_file(path: Path) -> NotFound:
    what = "nothing in the folder" if path.is_dir() else "no file"
    return NotFound(
        "tracking.no_such_file",
        f"There is {what} {str(path)!r} to store.",
        hint="Give bytes, text, or the path of a file or folder.",
    )


def _blocks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            yield block
