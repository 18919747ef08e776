"""What training code holds: a run to log to, and where runs are started and found."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import msgspec

from mainspring.core.errors import Invalid
from mainspring.core.ids import RunId
from mainspring.tracking.artifacts import Artifacts
from mainspring.tracking.experiments import Experiments
from mainspring.tracking.inputs import dataset_ref
from mainspring.tracking.recording import (
    Line,
    Recorder,
    check_params,
    check_tags,
    check_values,
)
from mainspring.tracking.types import Dataset, DatasetInput, Run, Status

PARENT_TAG: Final = "mlflow.parentRunId"
NOTE_TAG: Final = "mlflow.note.content"
_BLOCK_BYTES: Final = 1 << 20


class Surroundings(msgspec.Struct, frozen=True):
    """What a run was made in: tags to search by, and files to look into."""

    tags: dict[str, str] = {}
    files: dict[str, bytes] = {}


Capture = Callable[[], Surroundings]


class ActiveRun:
    """A run that is being recorded. Leaving its ``with`` block ends it: FINISHED, or FAILED.

    Concurrency: any thread may log. ``log`` returns at once; :meth:`flush` waits until all is
    durable.
    """

    def __init__(self, run: Run, started: Started) -> None:
        self.id = run.id
        self.name = run.name
        self.experiment_id = run.experiment_id
        self._uri = run.artifact_uri
        self._started = started
        self._line: Line = started.recorder.line(run.id)
        self._queue = self._line.points.append
        self._known: set[str] = set()
        self._step = -1

    def log(self, values: Mapping[str, float], *, step: int | None = None) -> None:
        """Takes values of metrics at a step; without one, at the step after the last.

        Errors: ``tracking.bad_value`` for a name that can never be stored, told at its first use.
        """
        if step is None:
            step = self._step + 1
        try:
            numbers = {key: float(value) for key, value in values.items()}
        except (TypeError, ValueError) as error:
            raise Invalid(
                "tracking.bad_value", f"A metric is a number ({error}).", hint="Log text as a tag."
            ) from error
        if not self._known.issuperset(numbers):
            check_values(numbers, step)
            self._known.update(numbers)
        self._step = step
        self._queue((numbers, step, time.time_ns() // 1_000_000))

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
        self._started.recorder.runs.link(self.id, datasets=[DatasetInput(dataset, tags)])
        return dataset_ref(dataset)

    def artifact(self, name: str, content: bytes | str | Path) -> None:
        """Stores bytes, text, or a file (a path) under a name; durable when it returns."""
        if isinstance(content, Path):
            self._started.artifacts.put(self._path(name), _blocks(content))
        else:
            data = content.encode() if isinstance(content, str) else content
            self._started.artifacts.put(self._path(name), data)

    def figure(self, name: str, figure: Any) -> None:
        """Stores a Matplotlib figure, or whatever has ``savefig``, as the format its name ends in."""
        buffer = io.BytesIO()
        figure.savefig(buffer, format=Path(name).suffix.lstrip(".") or "png")
        self.artifact(name, buffer.getvalue())

    def table(self, name: str, columns: Mapping[str, Sequence[Any]]) -> None:
        """Stores columns of equal length as JSON, as MLflow's ``log_table`` has it."""
        if len({len(column) for column in columns.values()}) > 1:
            raise Invalid("tracking.bad_table", "The columns of a table have different lengths.")
        rows = [list(row) for row in zip(*columns.values(), strict=True)]
        document = {"columns": list(columns), "data": rows}
        self.artifact(name, msgspec.json.encode(document))

    def start(self, name: str = "", **options: Any) -> ActiveRun:
        """A run inside this one."""
        tags = {**options.pop("tags", {}), PARENT_TAG: self.id}
        return self._started.start(name, experiment_id=self.experiment_id, tags=tags, **options)

    def flush(self) -> None:
        """Returns once all that was logged is durable. Errors: ``tracking.not_sent``."""
        self._started.recorder.flush(self.id)

    def end(self, status: Status = "FINISHED") -> None:
        """Sends what is left and ends the run. Errors: ``tracking.not_sent``."""
        self.flush()
        now_ms = time.time_ns() // 1_000_000
        self._started.recorder.runs.update(self.id, status=status, end_ms=now_ms).result()
        self._started.recorder.leave(self.id)

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

    def _path(self, name: str) -> str:
        return f"{self._uri.partition(':')[2].strip('/')}/{name}"


@dataclass(frozen=True, slots=True)
class Started:
    """Runs as training code starts and finds them: ``workspace.runs``."""

    experiments: Experiments
    artifacts: Artifacts
    recorder: Recorder
    capture: Capture = Surroundings
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
        """A new run with what it was made in: code, command, environment, hardware."""
        if experiment:
            experiment_id = self.experiments.ensure(experiment).id
        around = self.capture()
        run = self.recorder.runs.create(
            experiment_id,
            name=name,
            user=around.tags.get("mlflow.user", ""),
            tags={**around.tags, **(tags or {})},
        )
        active = ActiveRun(run, self)
        self.recorder.runs.seen([run.id])
        for path, data in around.files.items():
            active.artifact(f"mainspring/{path}", data)
        if params:
            active.params(params)
        return active

    def resume(self, run_id: str) -> ActiveRun:
        """A run that exists, RUNNING again. Errors: ``tracking.run_not_found``."""
        run = self.recorder.runs.update(run_id, status="RUNNING").result()
        self.recorder.runs.seen([run.id])
        return ActiveRun(run, self)

    def get(self, run_id: str) -> Run:
        """A run as it is stored. Errors: ``tracking.run_not_found``."""
        return self.recorder.runs.get(RunId(run_id))

    def find(self, text: str = "", *, experiment: str = "", **options: Any) -> Iterator[Run]:
        """All runs that match a filter, page by page; of all experiments unless one is named."""
        ids = [self.experiments.named(experiment).id] if experiment else self._all()
        token = None
        while True:
            page = self.recorder.runs.search(ids, text, token=token, **options)
            yield from page.items
            token = page.next_token
            if token is None:
                return

    def search(
        self, text: str = "", *, experiment: str = "", **options: Any
    ) -> dict[str, list[Any]]:
        """The runs that match a filter as columns of equal length; what a run lacks is None."""
        runs = list(self.find(text, experiment=experiment, **options))
        rows = [_row(run) for run in runs]
        names = dict.fromkeys(name for row in rows for name in row)
        return {name: [row.get(name) for row in rows] for name in names}

    def close(self) -> None:
        """Sends what is queued and lets go."""
        self.recorder.close()
        if self.let_go is not None:
            self.let_go()

    def _all(self) -> list[str]:
        return [one.id for one in self.experiments.search(limit=50_000).items]


def _row(run: Run) -> dict[str, Any]:
    return {
        "run_id": run.id,
        "experiment_id": run.experiment_id,
        "name": run.name,
        "status": run.status,
        "start_ms": run.start_ms,
        "end_ms": run.end_ms,
        **{f"metrics.{point.key}": point.value for point in run.metrics},
        **{f"params.{key}": value for key, value in run.params.items()},
        **{f"tags.{key}": value for key, value in run.tags.items()},
    }


def _blocks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            yield block
