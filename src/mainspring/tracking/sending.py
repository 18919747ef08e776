"""From records to the store: in order, each once however often it is sent."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol

import msgspec

from mainspring.core.errors import Conflict, Invalid, MainspringError, NotFound
from mainspring.core.ids import RunId
from mainspring.tracking.anywhere import AnyArtifacts, AnyExperiments, AnyModels, AnyRuns
from mainspring.tracking.deeds import Begun, Deed, Ended, Kept, Made, Read, Resumed
from mainspring.tracking.types import LOST_TAG, ModelLink, Run

if TYPE_CHECKING:
    from mainspring.tracking.lines import Record

# What the store will never take, however often it is sent. All else may pass: it is kept.
REFUSED: Final = (Invalid, NotFound, Conflict)
_TOGETHER: Final = 64  # batches under way at once
Content = Callable[[], bytes | Iterable[bytes]]


class Files(Protocol):
    """Files that wait beside the records of a spool."""

    def put(self, chunks: Iterable[bytes]) -> str:
        """Keeps bytes under a new name. Errors: ``disk.full``."""
        ...

    def open(self, name: str) -> Iterator[bytes]:
        """A file's bytes."""
        ...

    def has(self, name: str) -> bool:
        """Whether a file is there."""
        ...

    def drop(self, name: str) -> None:
        """Forgets a file, if it is there."""
        ...


@dataclass(frozen=True, slots=True)
class Sender:
    """The store as a recorder uses it."""

    experiments: AnyExperiments
    runs: AnyRuns
    artifacts: AnyArtifacts
    models: AnyModels
    files: Files
    _roots: dict[str, str] = field(default_factory=dict)

    def send(self, records: Iterable[Record], lost: Callable[[MainspringError], None]) -> None:
        """Does all records; ``lost`` hears of what the store will never take.

        Errors: whatever may pass; some of the records are done then.
        """
        under_way: list[tuple[Record, Future[Any]]] = []

        def settle() -> None:
            refused = False
            for record, future in under_way:
                try:
                    future.result()
                except REFUSED as error:
                    refused = True
                    self._piecewise(record, error, lost)
                else:
                    if refused and record.tags:  # newer than those that went once more
                        self._log(
                            msgspec.structs.replace(record, points=[], params=[], series={})
                        ).result()
            under_way.clear()

        for record in records:
            if record.deed is not None or len(under_way) >= _TOGETHER:
                settle()
            try:
                if record.deed is not None:
                    self.do(record.deed)
                else:
                    under_way.append((record, self._log(record)))
            except REFUSED as error:
                settle()
                self._piecewise(record, error, lost)
        settle()

    def _piecewise(
        self, record: Record, error: MainspringError, lost: Callable[[MainspringError], None]
    ) -> None:
        """Stores of a refused record what the store takes, and tells the rest, each fault once."""
        pieces = record.pieces()
        faults = {} if len(pieces) > 1 else {str(error): error}
        for piece in pieces if len(pieces) > 1 else ():
            try:
                self._log(piece).result()
            except REFUSED as fault:
                faults[str(fault)] = fault
        for told in faults.values():
            lost(told)

    def _log(self, record: Record) -> Future[Any]:
        batch = record.batch()
        return self.runs.log(record.run_id, batch, most_points=2 * batch.size + 1000)

    def begin(self, begun: Begun) -> Run:
        """The run that begins, alive from now on."""
        experiment_id = begun.experiment_id
        if begun.experiment:
            experiment_id = self.experiments.ensure(begun.experiment).id
        run = self.runs.create(
            experiment_id,
            name=begun.name,
            user=begun.user,
            start_ms=begun.start_ms,
            tags=begun.tags,
            run_id=RunId(begun.run_id),
        )
        self._roots[run.id] = run.artifact_uri
        self.runs.seen([run.id])
        return run

    def do(self, deed: Deed) -> None:
        """Does one deed."""
        match deed:
            case Begun():
                self.begin(deed)
            case Resumed():
                self.resume(deed.run_id)
            case Ended():
                self.runs.update(deed.run_id, status=deed.status, end_ms=deed.end_ms).result()
                self._roots.pop(deed.run_id, None)
            case Read():
                self.runs.link(deed.run_id, datasets=deed.datasets)
            case Kept():
                self._from_files(
                    [deed.file], lambda: self.put(deed.run_id, deed.path, self._content(deed.file))
                )
            case Made():
                files = {path: self._content(name) for path, name in deed.files}
                self._from_files([name for _, name in deed.files], lambda: self.make(deed, files))

    def _content(self, name: str) -> Content:
        return lambda: self.files.open(name)

    def _from_files(self, names: list[str], work: Callable[[], None]) -> None:
        """Does what takes files, unless they are gone: then it was done before."""
        if all(self.files.has(name) for name in names):
            work()
            for name in names:
                self.files.drop(name)

    def put(self, run_id: str, path: str, content: Content) -> None:
        """Stores a run's artifact."""
        self.artifacts.put(f"{self._root(run_id)}/{path}", content())

    def make(self, made: Made, files: dict[str, Content]) -> None:
        """Stores a model with its files, and ties it to its run."""
        model = self.models.create(
            self.runs.get(made.run_id).experiment_id,
            name=made.name,
            model_type=made.model_type,
            run_id=made.run_id,
            params=made.params,
            tags=made.tags,
            model_id=made.model_id,
        )
        for path, content in files.items():
            self.artifacts.put(f"{_tree(model.artifact_uri)}/{path}", content())
        self.models.finish(made.model_id, "READY")
        self.runs.link(made.run_id, models=[ModelLink(made.model_id, "output", made.step)])

    def resume(self, run_id: str) -> Run:
        """A run that exists, RUNNING and alive from now on."""
        self.runs.update(run_id, status="RUNNING").result()
        self.runs.seen([run_id])
        run = self.runs.get(run_id)
        self._roots[run.id] = run.artifact_uri
        return run

    def revive(self, run_id: str) -> None:
        """Has a run RUNNING again that was taken for lost."""
        if LOST_TAG in self.runs.get(run_id).tags:
            self.resume(run_id)

    def _root(self, run_id: str) -> str:
        if run_id not in self._roots:
            self._roots[run_id] = self.runs.get(run_id).artifact_uri
        return _tree(self._roots[run_id])


def _tree(uri: str) -> str:
    return uri.partition(":")[2].strip("/")
