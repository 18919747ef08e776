"""Logging on the MLflow wire: metrics, parameters, tags, batches, inputs, outputs, history.

Hot handlers run on the event loop: they check, hand the work to the database's writer and answer
when its commit is durable.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from itertools import repeat
from operator import attrgetter
from typing import Final

import msgspec

from mainspring._entrypoints._http import Request, Response, Route, json_bytes
from mainspring._entrypoints._http.futures import then
from mainspring._entrypoints.mlflow.reading import Pair, body, need, number, pairs, query
from mainspring._entrypoints.mlflow.routing import LARGE_BODY_BYTES, RUNS_READ, RUNS_WRITE, both
from mainspring._entrypoints.mlflow.runs import One
from mainspring._entrypoints.mlflow.writing import empty, history_json
from mainspring.core.errors import Invalid
from mainspring.tracking import Batch, DatasetInput, Point, Runs
from mainspring.tracking.columns import Columns
from mainspring.tracking.runs import MAX_POINTS
from mainspring.tracking.types import Dataset, ModelLink, ModelPoint

MAX_PAGE: Final = 25_000
_HISTORY_TAG: Final = "mlflow.log-model.history"


class _Metric(msgspec.Struct):
    key: str | None = None
    value: float | str | None = None
    timestamp: int | None = None
    step: int | None = 0
    model_id: str | None = None
    dataset_name: str | None = None
    dataset_digest: str | None = None


class _LogMetric(_Metric):
    run_id: str | None = None
    run_uuid: str | None = None


class _LogPair(One):
    key: str | None = None
    value: str | None = None


class _LogBatch(One):
    metrics: list[_Metric] | None = None
    params: list[Pair] | None = None
    tags: list[Pair] | None = None


class _Dataset(msgspec.Struct):
    name: str = ""
    digest: str = ""
    source_type: str | None = None
    source: str | None = None
    schema: str | None = None
    profile: str | None = None


class _DatasetInput(msgspec.Struct):
    dataset: _Dataset
    tags: list[Pair] | None = None


class _Model(msgspec.Struct):
    model_id: str
    step: int | None = None


class _LogInputs(One):
    datasets: list[_DatasetInput] | None = None
    models: list[_Model] | None = None


class _LogModel(One):
    model_json: str | None = None


class _History(One):
    metric_key: str | None = None
    max_results: int | None = None
    page_token: str | None = None


_COLUMNS: Final = tuple(map(attrgetter, ("key", "value", "step", "timestamp")))
_model_of: Final = attrgetter("model_id")
_json = msgspec.json.Decoder(dict[str, object])
_list = msgspec.json.Decoder(list[object])


@dataclass(frozen=True, slots=True)
class LoggingRoutes:
    """The handlers of ``runs/log-...`` and ``metrics/...``."""

    runs: Runs

    def routes(self) -> list[Route]:
        base = "/2.0/mlflow/runs"
        return [
            *both("POST", f"{base}/log-metric", self.log_metric, RUNS_WRITE, inline=True),
            *both("POST", f"{base}/log-batch", self.log_batch, RUNS_WRITE, inline=True),
            *both("POST", f"{base}/log-parameter", self.log_param, RUNS_WRITE, inline=True),
            *both("POST", f"{base}/set-tag", self.set_tag, RUNS_WRITE, inline=True),
            *both(
                "POST",
                f"{base}/log-inputs",
                self.log_inputs,
                RUNS_WRITE,
                body_limit_bytes=LARGE_BODY_BYTES,
            ),
            *both("POST", f"{base}/outputs", self.log_outputs, RUNS_WRITE),
            *both("POST", f"{base}/log-model", self.log_model, RUNS_WRITE),
            *both("GET", "/2.0/mlflow/metrics/get-history", self.history, RUNS_READ),
        ]

    def log_metric(self, request: Request) -> Future[Response]:
        asked = body(request, _LogMetric)
        run_id = need(asked.run_id or asked.run_uuid, "run_id")
        return self._log(
            run_id, Batch(points=(_point(asked),), model_points=_measured([asked], run_id))
        )

    def log_batch(self, request: Request) -> Future[Response]:
        asked = body(request, _LogBatch)
        metrics = asked.metrics or []
        batch = Batch(
            points=_points(metrics),
            params=pairs(asked.params),
            tags=pairs(asked.tags),
            model_points=_measured(metrics, asked.id) if any(map(_model_of, metrics)) else (),
        )
        return self._log(asked.id, batch)

    def log_param(self, request: Request) -> Future[Response]:
        asked = body(request, _LogPair)
        pair = (need(asked.key, "key"), asked.value or "")
        return self._log(asked.id, Batch(params=(pair,)))

    def set_tag(self, request: Request) -> Future[Response]:
        asked = body(request, _LogPair)
        pair = (need(asked.key, "key"), asked.value or "")
        return self._log(asked.id, Batch(tags=(pair,)))

    def log_inputs(self, request: Request) -> Response:
        asked = body(request, _LogInputs)
        models = [ModelLink(model.model_id, "input") for model in asked.models or ()]
        datasets = [
            DatasetInput(_dataset(entry.dataset), dict(pairs(entry.tags)))
            for entry in asked.datasets or ()
        ]
        self.runs.link(asked.id, datasets=datasets, models=models, actor=request.actor)
        return empty()

    def log_outputs(self, request: Request) -> Response:
        asked = body(request, _LogInputs)
        models = [ModelLink(m.model_id, "output", m.step or 0) for m in asked.models or ()]
        self.runs.link(asked.id, models=models, actor=request.actor)
        return empty()

    def log_model(self, request: Request) -> Response:
        """What clients before 3.0 call: the run's tag keeps the list of its models."""
        asked = body(request, _LogModel)
        try:
            model = _json.decode(need(asked.model_json, "model_json"))
        except msgspec.MsgspecError as error:
            raise Invalid("http.bad_json", f"Malformed model info: {error}.") from error
        absent = {"artifact_path", "flavors", "utc_time_created", "run_id"} - set(model)
        if absent:
            raise Invalid(
                "http.bad_json", f"Model json is missing mandatory fields: {sorted(absent)}"
            )
        tags = self.runs.get(asked.id).tags
        models = [*_list.decode(tags.get(_HISTORY_TAG, "[]")), model]
        tag = (_HISTORY_TAG, msgspec.json.encode(models).decode())
        self.runs.log(asked.id, Batch(tags=(tag,))).result()
        return empty()

    def history(self, request: Request) -> Response:
        asked = query(request, _History)
        run_id, key = asked.id, need(asked.metric_key, "metric_key")
        limit = asked.max_results
        if limit is not None and limit < 1:
            raise Invalid(
                "http.bad_limit",
                f"Invalid value {limit} for parameter 'max_results' supplied: it must be positive.",
            )
        most = MAX_POINTS if limit is None else min(limit, MAX_PAGE)
        found, token = self.runs.columns(run_id, key, limit=most, token=asked.page_token)
        if limit is None and token:
            # Without a limit a client expects all there is; it is sent in parts.
            chunks = self._whole_history(run_id, key, found, token)
            return Response(200, [("content-type", "application/json")], chunks)
        parts = []
        if found.steps:
            parts.append(b'"metrics":' + history_json(key, found))
        if token:
            parts.append(b'"next_page_token":' + msgspec.json.encode(token))
        return json_bytes(b"{" + b",".join(parts) + b"}")

    def _whole_history(
        self, run_id: str, key: str, found: Columns, token: str | None
    ) -> Iterator[bytes]:
        yield b'{"metrics":['
        yield history_json(key, found)[1:-1]
        while token:
            found, token = self.runs.columns(run_id, key, token=token)
            yield b"," + history_json(key, found)[1:-1]
        yield b"]}"

    def _log(self, run_id: str, batch: Batch) -> Future[Response]:
        return then(self.runs.log(run_id, batch), _done)


def _done(_names: Mapping[str, int]) -> Response:
    return empty()


def _point(metric: _Metric) -> Point:
    value = metric.value
    if metric.key is None or metric.timestamp is None:
        need(metric.key, "key")
        raise Invalid("http.missing_field", "Missing value for required parameter 'timestamp'.")
    exact = value if isinstance(value, float) else number(value, "value")
    return Point(metric.key, exact, metric.step or 0, metric.timestamp)


def _points(metrics: list[_Metric]) -> tuple[Point, ...]:
    """The points of a batch, without a Python call for each when all are plain numbers."""
    keys, values, steps, times = (list(map(column, metrics)) for column in _COLUMNS)
    if not (set(map(type, values)) <= {float} and all(keys) and None not in steps + times):
        return tuple(map(_point, metrics))
    fields = zip(keys, values, steps, times, strict=True)
    return tuple(map(tuple.__new__, repeat(Point), fields))


def _measured(metrics: list[_Metric], run_id: str) -> tuple[ModelPoint, ...]:
    return tuple(
        ModelPoint(m.model_id, _point(m), run_id, m.dataset_name or "", m.dataset_digest or "")
        for m in metrics
        if m.model_id
    )


def _dataset(asked: _Dataset) -> Dataset:
    return Dataset(
        name=asked.name,
        digest=asked.digest,
        source_type=asked.source_type or "",
        source=asked.source or "",
        schema=asked.schema or "",
        profile=asked.profile or "",
    )
