"""Taking runs in from elsewhere, whole, once, and as often as it takes.

A run keeps its identifier, so an import that broke off goes on where it stopped: what is there
already is found there, exact duplicates of points collapse, and a run that was taken whole carries
a tag that says so. What cannot be stored as it was is reported, never dropped in silence.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Final, TypeVar

from msgspec.structs import replace

from mainspring.core.errors import Conflict, Invalid, MainspringError, NotFound
from mainspring.core.ids import RunId
from mainspring.ports.database import Transaction
from mainspring.tracking import Tracking
from mainspring.tracking.batches import check_points
from mainspring.tracking.inputs import check_datasets
from mainspring.tracking.limits import (
    MAX_EXPERIMENT_NAME,
    MAX_PARAM_VALUE,
    MAX_PARAMS,
    MAX_RUN_NAME,
    MAX_TAG_VALUE,
    MAX_TAGS,
    check_pairs,
    hidden,
)
from mainspring.tracking.origin import Bytes, Files, Origin, Taken
from mainspring.tracking.types import (
    ENDED,
    NAME_TAG,
    Batch,
    DatasetInput,
    Experiment,
    LoggedModel,
    Run,
)

TAKEN_TAG: Final = "mainspring.imported"
_POINTS: Final = 20_000
_SCHEME: Final = "mlflow-artifacts:"
T = TypeVar("T")
Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Intake:
    """Takes the runs and logged models of an origin into a workspace; ``tell`` gets the progress."""

    tracking: Tracking
    tell: Tell = lambda _text: None

    def take(self, origin: Origin, taken: Taken | None = None) -> Taken:
        """What was taken, and what differs. May be repeated; it goes on where it stopped."""
        taken = Taken() if taken is None else taken
        for there in origin.experiments():
            here = self._experiment(there, taken)
            if here is None:
                continue
            taken.experiments += 1
            for run in origin.runs(there):
                self._run(origin, run, here, taken)
                self.tell(f"{taken.runs} runs, {taken.points:,} points, {taken.files:,} files")
            for model in origin.models(there):
                self._model(origin, model, here, taken)
        for where, what in origin.left_out():
            taken.differs(where, what)
        return taken

    # -- inside ---------------------------------------------------------------------------------

    def _experiment(self, there: Experiment, taken: Taken) -> Experiment | None:
        where = f"experiment {there.name}"
        try:
            name = _clean("name", there.name, where, taken)[:MAX_EXPERIMENT_NAME]
            here = self.tracking.experiments.ensure(name)
        except (Conflict, Invalid) as error:
            taken.differs(where, f"left out: {error.message}")
            return None
        for key, value in there.tags.items():
            if here.tags.get(key) == value:
                continue
            try:
                self.tracking.experiments.tag(here.id, {key: value})
            except (Conflict, Invalid) as error:
                taken.differs(where, f"left out the tag {key[:80]!a}: {error.message}")
        return here

    def _run(self, origin: Origin, run: Run, here: Experiment, taken: Taken) -> None:
        where = f"run {run.id}"
        try:
            known = self._known(run)
            mark = f"{origin.name} {run.status} {run.end_ms}"
            if known is not None and known.tags.get(TAKEN_TAG) == mark:
                taken.there_already += 1
                return
            if known is not None and known.state == "deleted":
                taken.differs(where, "left out: it was taken in before and deleted here")
                return
            self._create(run, here, where, taken)
            self._log(origin, run, where, taken)
            self._store(self._root(run.id), origin.files(run), where, taken)
            self._finish(run, mark)
        except (Conflict, Invalid) as error:
            taken.differs(where, f"not whole: {error.message}")
            return
        taken.runs += 1

    def _known(self, run: Run) -> Run | None:
        try:
            return self.tracking.runs.get(run.id)
        except NotFound:
            return None

    def _create(self, run: Run, here: Experiment, where: str, taken: Taken) -> None:
        tags = self._pairs("tag", run.tags, MAX_TAG_VALUE, where, taken)
        first = dict(tags[:MAX_TAGS])
        tagged = first.pop(NAME_TAG, "")
        self.tracking.runs.create(
            here.id,
            name=_clean("name", run.name or tagged, where, taken)[:MAX_RUN_NAME],
            user=_clean("user", run.user, where, taken),
            start_ms=run.start_ms,
            tags=first,
            run_id=run.id,
        )
        params = self._pairs("parameter", run.params, MAX_PARAM_VALUE, where, taken)
        for some in _parts(params, MAX_PARAMS):
            self.tracking.runs.log(run.id, Batch(params=tuple(some))).result()
        for some in _parts([pair for pair in tags if pair[0] != NAME_TAG], MAX_TAGS):
            self.tracking.runs.log(run.id, Batch(tags=tuple(some))).result()
        if datasets := self._datasets(run, where, taken):
            self.tracking.runs.link(run.id, datasets=datasets)
        if run.models:
            self.tracking.runs.link(run.id, models=run.models)

    def _datasets(self, run: Run, where: str, taken: Taken) -> list[DatasetInput]:
        """The datasets that can be stored; the others are reported."""
        found: list[DatasetInput] = []
        for entry in run.datasets:
            try:
                check_datasets([entry])
            except Invalid as error:
                shown = entry.dataset.name[:80]
                taken.differs(where, f"left out the dataset {shown!a}: {error.message}")
            else:
                found.append(entry)
        return found

    def _pairs(
        self, what: str, values: dict[str, str], limit: int, where: str, taken: Taken
    ) -> list[tuple[str, str]]:
        """The pairs that can be stored; the others, and values that are cut, are reported."""
        found: list[tuple[str, str]] = []
        for key, value in values.items():
            try:
                found += check_pairs(what, [(key, value)], limit)
            except Invalid as error:
                taken.differs(where, f"left out the {what} {key[:80]!a}: {error.message}")
                continue
            if len(value) > limit:
                taken.differs(where, f"the {what} {key!r} was cut to {limit} characters")
        return found

    def _log(self, origin: Origin, run: Run, where: str, taken: Taken) -> None:
        for key in dict.fromkeys(point.key for point in run.metrics):
            for some in _parts(origin.history(run, key), _POINTS):
                try:
                    points = check_points(some)
                except Invalid as error:
                    taken.differs(where, f"left out points of {key[:80]!a}: {error.message}")
                    continue
                batch = Batch(points=tuple(points))
                self.tracking.runs.log(run.id, batch, most_points=_POINTS).result()
                taken.points += len(points)

    def _store(self, root: str, files: Files, where: str, taken: Taken) -> None:
        if not root:
            taken.differs(where, "its artifacts lie outside this workspace and were left out")
            return
        while (entry := self._next(files, where, taken)) is not None:
            path, read = entry
            try:
                self.tracking.artifacts.put(f"{root}/{path}", read())
                taken.files += 1
            except (Invalid, Conflict, NotFound) as error:
                taken.differs(where, f"left out the artifact {path[:200]!a}: {error.message}")

    def _next(self, files: Files, where: str, taken: Taken) -> tuple[str, Bytes] | None:
        """The next file; None at the end, or where the origin itself cannot list them."""
        try:
            return next(files, None)
        except (Invalid, NotFound) as error:
            taken.differs(where, f"artifacts were left out: {error.message}")
            return None

    def _finish(self, run: Run, mark: str) -> None:
        ended = run.status in ENDED
        self.tracking.runs.update(
            run.id, status=run.status, end_ms=run.end_ms if ended else None
        ).result()
        self.tracking.runs.log(run.id, Batch(tags=((TAKEN_TAG, mark),))).result()

    def _root(self, run_id: RunId) -> str:
        return _tree(self.tracking.runs.get(run_id).artifact_uri)

    def _model(self, origin: Origin, model: LoggedModel, here: Experiment, taken: Taken) -> None:
        where = f"logged model {model.id}"
        uri = f"{here.artifact_uri.rstrip('/')}/models/{model.id}/artifacts"
        store = self.tracking.models.store

        def work(tx: Transaction) -> bool:
            if store.find(tx, model.id) is not None:
                return False
            store.save(tx, replace(model, experiment_id=here.id, artifact_uri=uri, metrics=()))
            if model.metrics:
                store.measure(tx, model.metrics)
            return True

        try:
            self._store(_tree(uri), origin.model_files(model), where, taken)
            # The row comes last: a model that is listed is whole.
            new = self.tracking.models.database.write(work)
        except MainspringError as error:
            if error.kind not in {"invalid", "conflict", "not_found"}:
                raise
            taken.differs(where, f"left out: {error.message}")
            return
        taken.models += new


def _clean(what: str, text: str, where: str, taken: Taken) -> str:
    """The text without letters that control what is shown; what goes is reported."""
    kept = "".join(letter for letter in text if not hidden(letter))
    if kept != text:
        taken.differs(where, f"its {what} {text[:80]!a} is {kept[:80]!a} here")
    return kept


def _parts(values: Iterable[T], size: int) -> Iterator[list[T]]:
    source = iter(values)
    while part := list(islice(source, size)):
        yield part


def _tree(uri: str) -> str:
    return uri.removeprefix(_SCHEME).strip("/") if uri.startswith(_SCHEME) else ""
