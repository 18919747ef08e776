"""Use cases on logged models: what a run made, before anyone registers it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from msgspec.structs import replace

from mainspring.core.actor import Actor
from mainspring.core.errors import Invalid, NotFound
from mainspring.core.events import Fact, ref
from mainspring.core.ids import new_id
from mainspring.core.pages import Page
from mainspring.core.time import to_micros
from mainspring.ports.clock import Clock
from mainspring.ports.database import Database, Reader, Transaction
from mainspring.tracking import events, tokens
from mainspring.tracking.filters import LOGGED_MODELS, Order, parse
from mainspring.tracking.limits import (
    MAX_EXPERIMENT_NAME,
    MAX_PARAM_VALUE,
    MAX_TAG_VALUE,
    bad,
    check_name,
    check_pairs,
    check_run_id,
    check_text,
)
from mainspring.tracking.lookup import need_experiment, need_model
from mainspring.tracking.matching import compare, directions, matches, order_values, sort_key
from mainspring.tracking.ports import ExperimentStore, ModelStore
from mainspring.tracking.types import MODEL_STATUSES, LoggedModel, ModelStatus
from mainspring.tracking.words import run_name

MAX_MODELS: Final = 100
_NEWEST: Final = (Order("attribute", "creation_timestamp", descending=True),)


@dataclass(frozen=True, slots=True)
class LoggedModels:
    """Logged models by identifier. Every change is one transaction."""

    database: Database
    store: ModelStore
    experiments: ExperimentStore
    clock: Clock

    def create(
        self,
        experiment_id: str,
        *,
        name: str = "",
        model_type: str = "",
        run_id: str = "",
        params: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
        model_id: str = "",
        actor: Actor | None = None,
    ) -> LoggedModel:
        """A new model, PENDING until :meth:`finish`; with a ``model_id`` that exists, that model."""
        name = check_name("a model", name or run_name(), MAX_EXPERIMENT_NAME)
        if any(letter in name for letter in "/:.%\"'"):
            raise bad(f"The model name {name!r}", "holds one of / : . % \" '")
        check_text("The model type", model_type)
        if run_id:
            check_run_id(run_id)
        now_ms = to_micros(self.clock.now()) // 1000
        model_id = check_run_id(model_id) if model_id else f"m-{new_id()}"
        pairs = (
            check_pairs("parameter", (params or {}).items(), MAX_PARAM_VALUE),
            check_pairs("tag", (tags or {}).items(), MAX_TAG_VALUE),
        )

        def work(tx: Transaction) -> LoggedModel:
            found = self.store.find(tx, model_id)
            if found is not None:
                return found
            experiment = need_experiment(self.experiments, tx, experiment_id, live=True)
            model = LoggedModel(
                id=model_id,
                experiment_id=experiment.id,
                name=name,
                artifact_uri=f"{experiment.artifact_uri.rstrip('/')}/models/{model_id}/artifacts",
                created_ms=now_ms,
                updated_ms=now_ms,
                model_type=model_type,
                run_id=run_id,
                params=dict(pairs[0]),
                tags=dict(pairs[1]),
            )
            self.store.save(tx, model)
            subject = ref("run", run_id) if run_id else ref("logged-model", model_id)
            made = (ref("logged-model", model_id),)
            facts = {"name": name, "model": model_id}
            tx.announce(
                Fact(
                    kind=events.MODEL_LOGGED,
                    subject=subject,
                    facts=facts,
                    generated=made,
                    actor=actor,
                )
            )
            return model

        return self.database.write(work)

    def get(self, model_id: str) -> LoggedModel:
        """The live model with its metrics. Errors: ``tracking.model_not_found``."""
        return self.database.read(lambda db: need_model(self.store, db, model_id))

    def finish(self, model_id: str, status: str, message: str = "") -> LoggedModel:
        """The model with a status: READY once its files are there, or UPLOAD_FAILED."""
        if status not in MODEL_STATUSES:
            raise bad(f"The status {status[:40]!r}", f"is not one of {', '.join(MODEL_STATUSES)}")
        known: ModelStatus = next(one for one in MODEL_STATUSES if one == status)
        return self._change(model_id, status=known, status_message=check_text("It", message))

    def tag(self, model_id: str, tags: Mapping[str, str]) -> LoggedModel:
        """The model with these tags set, beside those it has."""
        pairs = dict(check_pairs("tag", tags.items(), MAX_TAG_VALUE))
        return self._change(model_id, tags=pairs)

    def untag(self, model_id: str, key: str) -> None:
        """Removes a tag. Errors: ``tracking.tag_not_found``."""

        def work(tx: Transaction) -> None:
            model = need_model(self.store, tx, model_id)
            if key not in model.tags:
                raise NotFound(
                    "tracking.tag_not_found",
                    f"No tag with key {key[:80]!r} found for model with ID {model_id!r}.",
                    hint="See the model's tags.",
                )
            self.store.save(
                tx, replace(model, tags={k: v for k, v in model.tags.items() if k != key})
            )

        self.database.write(work)

    def log_params(self, model_id: str, params: Mapping[str, str]) -> LoggedModel:
        """The model with these parameters, beside those it has."""
        pairs = dict(check_pairs("parameter", params.items(), MAX_PARAM_VALUE))
        return self._change(model_id, params=pairs)

    def delete(self, model_id: str, *, actor: Actor | None = None) -> None:
        """Takes a model out of sight; one that is stays. Errors: ``tracking.model_not_found``."""

        def work(tx: Transaction) -> None:
            model = self.store.find(tx, model_id) or need_model(self.store, tx, model_id)
            if model.state == "deleted":
                return
            self.store.save(tx, replace(model, state="deleted"))
            tx.announce(
                Fact(kind=events.MODEL_DELETED, subject=ref("logged-model", model_id), actor=actor)
            )

        self.database.write(work)

    def search(
        self,
        experiment_ids: Sequence[str],
        text: str = "",
        *,
        orders: tuple[Order, ...] = (),
        datasets: Sequence[tuple[str, str]] = (),
        limit: int = MAX_MODELS,
        token: str | None = None,
    ) -> Page[LoggedModel]:
        """Live models that match a filter, newest first unless said.

        ``datasets`` (name, digest or "") narrows which measurements the filter's metrics mean.
        Errors: ``tracking.bad_filter``, ``tracking.bad_token``, ``tracking.bad_value``.
        """
        if not 1 <= limit <= MAX_MODELS:
            raise bad("max_results", f"must be between 1 and {MAX_MODELS}, not {limit}")
        clauses = parse(text, LOGGED_MODELS)
        orders = (*(orders or _NEWEST), Order("attribute", "model_id"))
        mark = ("models", tuple(experiment_ids), clauses, orders, tuple(datasets))
        down = directions(orders)

        def look(model: LoggedModel, kind: str, key: str) -> Any:
            return _look(model, kind, key, datasets)

        def look_each(model: LoggedModel, kind: str, key: str) -> Any:
            """A condition holds when one of a metric's datasets meets it; an order takes the last."""
            if kind == "metric":
                return _measured(model, key, datasets) or None
            return _look(model, kind, key)

        def work(reader: Reader) -> Page[LoggedModel]:
            secret = self.experiments.secret(reader)
            after = tokens.read(secret, mark, token)
            found = self.store.of_experiments(reader, experiment_ids)
            kept = (model for model in found if matches(model, clauses, look_each))
            rows = [(order_values(model, orders, look), model) for model in kept]
            if after is not None:
                rows = [row for row in rows if compare(row[0], after, down) > 0]
            key = sort_key(down)
            rows.sort(key=lambda row: key(row[0]))
            more = tokens.write(secret, mark, rows[limit - 1][0]) if len(rows) > limit else None
            return Page(tuple(model for _, model in rows[:limit]), more)

        return self.database.read(work)

    def _change(
        self,
        model_id: str,
        *,
        status: ModelStatus | None = None,
        status_message: str | None = None,
        tags: Mapping[str, str] | None = None,
        params: Mapping[str, str] | None = None,
    ) -> LoggedModel:
        def work(tx: Transaction) -> LoggedModel:
            model = need_model(self.store, tx, model_id)
            for key, value in (params or {}).items():
                if model.params.get(key, value) != value:
                    raise Invalid(
                        "tracking.param_changed",
                        f"Parameter {key!r} of model {model_id!r} has another value already.",
                    )
            changed = replace(
                model,
                status=status or model.status,
                status_message=model.status_message if status_message is None else status_message,
                tags={**model.tags, **(tags or {})},
                params={**model.params, **(params or {})},
                updated_ms=to_micros(self.clock.now()) // 1000,
            )
            self.store.save(tx, changed)
            return changed

        return self.database.write(work)


def _look(model: LoggedModel, kind: str, key: str, datasets: Sequence[tuple[str, str]] = ()) -> Any:
    if kind == "param":
        return model.params.get(key)
    if kind == "tag":
        return model.tags.get(key)
    if kind == "metric":
        values = _measured(model, key, datasets)
        return values[-1] if values else None
    return {
        "name": model.name,
        "model_id": model.id,
        "model_type": model.model_type,
        "status": model.status,
        "source_run_id": model.run_id,
        "experiment_id": model.experiment_id,
        "artifact_uri": model.artifact_uri,
        "creation_timestamp": model.created_ms,
        "last_updated_timestamp": model.updated_ms,
    }[key]


def _measured(model: LoggedModel, key: str, datasets: Sequence[tuple[str, str]]) -> list[float]:
    """A metric's latest value on each of the datasets, or on each there is."""
    return [
        entry.point.value
        for entry in model.metrics
        if entry.point.key == key and _measured_on(entry, datasets)
    ]


def _measured_on(entry: Any, datasets: Sequence[tuple[str, str]]) -> bool:
    return not datasets or any(
        entry.dataset_name == name and digest in {"", entry.dataset_digest}
        for name, digest in datasets
    )
