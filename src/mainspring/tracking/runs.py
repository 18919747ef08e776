"""Use cases on runs: begin, log, end, find."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from math import isnan
from typing import Any, Final

from msgspec.structs import replace

from mainspring.core.actor import Actor
from mainspring.core.errors import NotFound
from mainspring.core.events import EventKind, Fact, Ref, ref
from mainspring.core.ids import RunId, new_id
from mainspring.core.pages import Page
from mainspring.core.time import to_micros
from mainspring.ports.clock import Clock
from mainspring.ports.database import Database, Reader, Transaction
from mainspring.tracking import events, tokens
from mainspring.tracking.batches import check_batch
from mainspring.tracking.columns import Columns
from mainspring.tracking.filters import RUNS, parse, parse_orders
from mainspring.tracking.inputs import check_datasets, dataset_ref
from mainspring.tracking.limits import (
    MAX_METRICS,
    MAX_RUN_NAME,
    MAX_TAG_VALUE,
    bad,
    check_integer,
    check_key,
    check_name,
    check_pairs,
    check_shown,
)
from mainspring.tracking.lookup import need_experiment, need_place
from mainspring.tracking.ports import ExperimentStore, Place, RunQuery, RunStore
from mainspring.tracking.types import (
    ENDED,
    LOST_TAG,
    NAME_TAG,
    Batch,
    DatasetInput,
    ModelLink,
    Point,
    Run,
    Status,
    View,
)
from mainspring.tracking.words import run_name

MAX_RUNS: Final = 50_000
MAX_POINTS: Final = 100_000
SILENT_SECONDS: Final = 45.0


@dataclass(frozen=True, slots=True)
class Runs:
    """Runs and what is logged to them. What a call acknowledged is durable."""

    database: Database
    store: RunStore
    experiments: ExperimentStore
    clock: Clock

    def create(
        self,
        experiment_id: str,
        *,
        name: str = "",
        user: str = "",
        start_ms: int | None = None,
        tags: Mapping[str, str] | None = None,
        run_id: RunId | None = None,
        actor: Actor | None = None,
    ) -> Run:
        """A new run, RUNNING. Its name and its name tag are one thing.

        With a ``run_id`` that exists, that run: so a call may be repeated.
        Errors: ``tracking.experiment_not_found``, ``tracking.experiment_deleted``,
        ``tracking.bad_value``.
        """
        return self.begin(
            experiment_id,
            name=name,
            user=user,
            start_ms=start_ms,
            tags=tags,
            run_id=run_id,
            actor=actor,
        ).result()

    def begin(
        self,
        experiment_id: str,
        *,
        name: str = "",
        user: str = "",
        start_ms: int | None = None,
        tags: Mapping[str, str] | None = None,
        run_id: RunId | None = None,
        actor: Actor | None = None,
    ) -> Future[Run]:
        """Like :meth:`create`, without waiting until it is durable."""
        checked = dict(check_pairs("tag", (tags or {}).items(), MAX_TAG_VALUE))
        named = checked.get(NAME_TAG, "")
        if name and named and name != named:
            raise bad(
                "Both 'run_name' argument and 'mlflow.runName' tag are specified",
                f"but with different values (run_name='{name[:80]}', tag='{named[:80]}')",
            )
        name = check_name("a run", name or named or run_name(), MAX_RUN_NAME)
        check_shown("The user", user)
        start = self._now_ms() if start_ms is None else check_integer("start_time", start_ms)
        identifier = run_id or RunId(new_id())
        tags = {**checked, NAME_TAG: name}
        names: dict[str, int] = {}

        def work(tx: Transaction) -> Run:
            if run_id is not None and self.store.place(tx, run_id) is not None:
                return self._run(tx, need_place(self.store, tx, run_id))
            experiment = need_experiment(self.experiments, tx, experiment_id, live=True)
            run = Run(
                id=identifier,
                experiment_id=experiment.id,
                name=name,
                status="RUNNING",
                start_ms=start,
                artifact_uri=f"{experiment.artifact_uri.rstrip('/')}/{identifier}/artifacts",
                user=user,
                tags=tags,
            )
            names.update(self.store.add(tx, run))
            facts = {"experiment": experiment.id, "name": name, "user": user}
            self._announce(tx, events.RUN_STARTED, run.id, actor, facts=facts)
            return run

        future = self.database.submit(work)
        future.add_done_callback(lambda done: self._learn(done, names))
        return future

    def get(self, run_id: str) -> Run:
        """The whole run, live or deleted. Errors: ``tracking.run_not_found``."""

        def work(reader: Reader) -> Run:
            return self._run(reader, need_place(self.store, reader, run_id))

        return self.database.read(work)

    def update(
        self,
        run_id: str,
        *,
        status: Status | None = None,
        end_ms: int | None = None,
        name: str | None = None,
        actor: Actor | None = None,
    ) -> Future[Run]:
        """The run with another status, end or name, once it is durable.

        It comes without metrics, datasets and models: :meth:`get` has them.
        """
        if name:
            check_name("a run", name, MAX_RUN_NAME)
        if end_ms is not None:
            check_integer("end_time", end_ms)

        def work(tx: Transaction) -> Run:
            place = need_place(self.store, tx, run_id, live=True)
            run = self._run(tx, place, whole=False)
            tags = dict(run.tags)
            if status and tags.pop(LOST_TAG, None) is not None:
                self.store.untag(tx, place, LOST_TAG)  # it was not lost, then
            changed = replace(
                run,
                status=status or run.status,
                end_ms=run.end_ms if end_ms is None else end_ms,
                name=name or run.name,
                tags={**tags, NAME_TAG: name} if name else tags,
            )
            self.store.save(tx, place, changed, run)
            if status in ENDED and run.status not in ENDED:
                self._announce(tx, events.RUN_ENDED, run.id, actor, facts={"status": status})
            return changed

        return self.database.submit(work)

    def delete(self, run_id: str, *, actor: Actor | None = None) -> None:
        """Takes a run out of sight; one that is out of sight stays there.

        Errors: ``tracking.run_not_found``.
        """

        def work(tx: Transaction) -> None:
            place = need_place(self.store, tx, run_id)
            if place.state == "deleted":
                return  # a client that lost the answer asks again
            run = self._run(tx, place, whole=False)
            self.store.save(tx, place, replace(run, state="deleted"), run)
            self._announce(tx, events.RUN_DELETED, place.run_id, actor)

        self.database.write(work)

    def restore(self, run_id: str, *, actor: Actor | None = None) -> None:
        """Brings a deleted run back; one that is not deleted stays as it is.

        Errors: ``tracking.run_not_found``, ``tracking.experiment_deleted`` when its experiment is.
        """

        def work(tx: Transaction) -> None:
            place = need_place(self.store, tx, run_id)
            need_experiment(self.experiments, tx, str(place.experiment), live=True)
            if place.state == "active":
                return
            run = self._run(tx, place, whole=False)
            self.store.save(tx, place, replace(run, state="active"), run)
            self._announce(tx, events.RUN_RESTORED, place.run_id, actor)

        self.database.write(work)

    def log(
        self, run_id: str, batch: Batch, *, most_points: int = MAX_METRICS
    ) -> Future[Mapping[str, int]]:
        """Resolves once the whole batch is durable; when it fails, nothing of it is stored.

        Errors: ``tracking.bad_value`` (at once), and through the future ``tracking.run_not_found``,
        ``tracking.run_deleted``, ``tracking.param_changed``.
        """
        checked = check_batch(batch, most_points=most_points)

        def work(tx: Transaction) -> Mapping[str, int]:
            return self.store.log(tx, need_place(self.store, tx, run_id, live=True), checked)

        future = self.database.submit(work)
        future.add_done_callback(self._learn_found)
        return future

    def untag(self, run_id: str, key: str) -> None:
        """Removes a tag. Errors: ``tracking.tag_not_found``."""
        check_key(key)

        def work(tx: Transaction) -> None:
            place = need_place(self.store, tx, run_id, live=True)
            if not self.store.untag(tx, place, key):
                raise NotFound(
                    "tracking.tag_not_found",
                    f"No tag with name: {key} in run with id {run_id}.",
                    hint="See the run's tags.",
                )

        self.database.write(work)

    def link(
        self,
        run_id: str,
        *,
        datasets: Sequence[DatasetInput] = (),
        models: Sequence[ModelLink] = (),
        actor: Actor | None = None,
    ) -> None:
        """Notes what a run read and made; lineage sees it."""
        check_datasets(datasets)

        def work(tx: Transaction) -> None:
            place = need_place(self.store, tx, run_id, live=True)
            self.store.link(tx, place, datasets=datasets, models=models)
            read = [ref("logged-model", m.model_id) for m in models if m.role == "input"]
            made = [ref("logged-model", m.model_id) for m in models if m.role == "output"]
            self._announce(
                tx,
                events.INPUTS_LOGGED,
                place.run_id,
                actor,
                used=(*(dataset_ref(entry.dataset) for entry in datasets), *read),
                generated=tuple(made),
            )

        self.database.write(work)

    def search(
        self,
        experiment_ids: Sequence[str],
        text: str = "",
        *,
        order_by: Sequence[str] = (),
        view: View = "active",
        limit: int = 1000,
        token: str | None = None,
    ) -> Page[Run]:
        """Runs of some experiments that match a filter, in order.

        Errors: ``tracking.bad_filter``, ``tracking.bad_token``, ``tracking.bad_value``.
        """
        if not 1 <= limit <= MAX_RUNS:
            raise bad("max_results", f"must be between 1 and {MAX_RUNS}, not {limit}")
        query = RunQuery(
            experiment_ids=tuple(experiment_ids),
            clauses=parse(text, RUNS),
            orders=parse_orders(order_by, RUNS),
            view=view,
            limit=limit + 1,
        )

        def work(reader: Reader) -> Page[Run]:
            mark = ("runs", query.experiment_ids, query.clauses, query.orders, view)
            secret = self.experiments.secret(reader)
            after = tokens.read(secret, mark, token)
            start = replace(query, after=tuple(after)) if after else query
            hits = self.store.search(reader, start)
            more = tokens.write(secret, mark, hits[limit - 1].key) if len(hits) > limit else None
            found = self.store.load(reader, [hit.number for hit in hits[:limit]])
            return Page(tuple(found), more)

        return self.database.read(work)

    def history(
        self, run_id: str, key: str, *, limit: int = MAX_POINTS, token: str | None = None
    ) -> Page[Point]:
        """A metric's points by time and step. Errors: ``tracking.run_not_found``."""
        found, more = self.columns(run_id, key, limit=limit, token=token)
        return Page(found.points(key), more)

    def columns(
        self, run_id: str, key: str, *, limit: int = MAX_POINTS, token: str | None = None
    ) -> tuple[Columns, str | None]:
        """Like :meth:`history`, in columns: them, and the token of the next page if there is one."""
        limit = max(1, min(limit, MAX_POINTS))

        def work(reader: Reader) -> tuple[Columns, str | None]:
            place = need_place(self.store, reader, run_id)
            secret, mark = self.experiments.secret(reader), ("history", run_id, key)
            after = tokens.read(secret, mark, token)
            found = self.store.history(reader, place, key, after=after, limit=limit + 1)
            if len(found.steps) <= limit:
                return found, None
            return found.first(limit), tokens.write(secret, mark, _place_in(found, limit - 1))

        return self.database.read(work)

    def seen(self, run_ids: Sequence[str]) -> None:
        """Notes a sign of life of runs; from then on their silence means something."""
        self.database.write(lambda tx: self.store.seen(tx, run_ids, self._now_ms()))

    def end_lost(self, silent_seconds: float = SILENT_SECONDS) -> list[str]:
        """Ends as FAILED, with a tag that says why, the runs that gave signs of life and stopped."""
        before_ms = self._now_ms() - int(silent_seconds * 1000)

        def work(tx: Transaction) -> list[str]:
            lost = self.store.silent(tx, before_ms)
            for run_id in lost:
                place = need_place(self.store, tx, run_id)
                run = self._run(tx, place, whole=False)
                tags = Batch(tags=((LOST_TAG, "no sign of life from its process"),))
                self.store.log(tx, place, tags)
                ended = replace(run, status="FAILED", end_ms=self._now_ms())
                self.store.save(tx, place, ended, run)
                facts = {"status": "FAILED", "lost": True}
                self._announce(tx, events.RUN_ENDED, run.id, None, facts=facts)
            return lost

        silent = self.database.read(lambda reader: self.store.silent(reader, before_ms))
        return self.database.write(work) if silent else []

    # -- inside ---------------------------------------------------------------------------------

    def _now_ms(self) -> int:
        return to_micros(self.clock.now()) // 1000

    def _run(self, reader: Reader, place: Place, *, whole: bool = True) -> Run:
        return self.store.load(reader, [place.number], whole=whole)[0]

    def _learn_found(self, future: Future[Mapping[str, int]]) -> None:
        if not future.cancelled() and future.exception() is None:
            self.store.learn(future.result())

    def _learn(self, future: Future[Any], names: Mapping[str, int]) -> None:
        if not future.cancelled() and future.exception() is None:
            self.store.learn(names)

    def _announce(
        self,
        tx: Transaction,
        kind: EventKind,
        run_id: RunId | str,
        actor: Actor | None,
        *,
        facts: dict[str, Any] | None = None,
        used: tuple[Ref, ...] = (),
        generated: tuple[Ref, ...] = (),
    ) -> None:
        tx.announce(
            Fact(
                kind=kind,
                subject=ref("run", run_id),
                facts=facts or {},
                used=used,
                generated=generated,
                actor=actor,
            )
        )


def _place_in(columns: Columns, row: int) -> tuple[int, int, float, int]:
    value = columns.values[row]
    nan = isnan(value)
    return (columns.times_ms[row], columns.steps[row], 0.0 if nan else value, int(nan))
