"""The built-in steps of a project's pipelines: ingest, features, train, deploy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

import msgspec

from mainspring.core.digest import Digest, digest_of
from mainspring.core.errors import Conflict, Invalid
from mainspring.core.names import did_you_mean
from mainspring.data import staging
from mainspring.features.records import FeatureBuild
from mainspring.pipelines.service import Executions
from mainspring.pipelines.steps import environment
from mainspring.ports.clock import Clock
from mainspring.projects.development import Development
from mainspring.projects.file import LoadedProject
from mainspring.projects.opening import Opening, Progress
from mainspring.projects.parts import Parts
from mainspring.projects.production import CHAMPION
from mainspring.projects.rows import FeatureRows
from mainspring.registry.service import Registry
from mainspring.registry.types import Because, Version
from mainspring.training.service import Report, Trained
from mainspring.training.types import Training

CANDIDATE: Final = "candidate"
PARAMETERS: Final[dict[str, tuple[str, ...]]] = {
    "ingest": ("dataset",),
    "features": (),
    "train": ("learner", "baseline", "seed", "trials"),
    "deploy": (),
}
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_NEWEST: Final = """
SELECT coalesce(max(epoch_us(greatest(label_known_at, prediction_time))), -1) AS newest FROM built
WHERE label IS NOT NULL AND greatest(label_known_at, prediction_time) <= $now
"""


class Work(NamedTuple):
    """What a step would do. Without a key it is never remembered: it finds out by itself."""

    key: Digest | None
    run: Callable[[], Any]


@dataclass(frozen=True, slots=True)
class BuiltIns:
    """The built-in steps over one workspace. Each is safe to run again after a crash anywhere."""

    opening: Opening
    executions: Executions
    registry: Registry
    parts: Callable[[FeatureRows], Parts]
    release: Callable[[], dict[str, Any]]
    clock: Clock

    @property
    def project(self) -> LoadedProject:
        """The project they work for."""
        return self.opening.project

    @property
    def progress(self) -> Progress:
        """Who is told how far the work is."""
        return self.opening.progress

    def work(self, name: str, parameters: Mapping[str, Any], upstream: Mapping[str, Any]) -> Work:
        """The work of the built-in step of that name. Errors: ``pipelines.unknown_step``."""
        if name == "ingest":
            return self._ingest(parameters.get("dataset"))
        if name == "features":
            return self._features()
        if name == "train":
            return self._train(parameters, upstream)
        if name == "deploy":
            return Work(None, self.release)
        raise Invalid(
            "pipelines.unknown_step",
            f"There is no built-in step {name!r}.",
            hint=f"{did_you_mean(name, PARAMETERS)} A step of your own is 'file.py:name'.",
            step=name,
        )

    def current(self, name: str, result: Any) -> Any:
        """A kept result with what may have changed since: where the aliases point now."""
        if name != "train":
            return result
        aliases, model = self.registry.aliases, result["model"]
        pointed = [
            alias
            for alias in (CHAMPION, CANDIDATE)
            if aliases.get(model, alias).version == result["version"]
        ]
        return {**result, "alias": next(iter(pointed), "")}

    # -- data and features ----------------------------------------------------------------------

    def _ingest(self, only: str | None) -> Work:
        spec, datasets = self.project.spec, self.opening.datasets
        wanted = [only] if only else list(spec.datasets)
        if only and only not in spec.datasets:
            raise Invalid(
                "pipelines.bad_parameter",
                f"The project has no dataset {only!r}.",
                hint=did_you_mean(only, spec.datasets),
            )
        found = {name: self._sources(name) for name in wanted}

        def run() -> dict[str, int]:
            for name in wanted:
                self.progress(f"ingesting {name}")
                datasets.ingest(
                    name,
                    spec.datasets[name],
                    sources=spec.sources,
                    folder=self.project.folder,
                )
            return self._newest(wanted)

        key = digest_of(["ingest", found])
        kept, newest = self.executions.kept(key), self._newest(wanted)
        if kept is not None and kept[0] != newest:
            # The same bytes again after others came between: they are the newest no more.
            key = digest_of([key, newest])
        return Work(key, run)

    def _sources(self, name: str) -> list[str]:
        spec = self.project.spec
        dataset = spec.datasets[name]
        found = staging.find(name, dataset, spec.sources, self.project.folder)
        return [staging.spec_digest(dataset), found.digest]

    def _newest(self, names: list[str]) -> dict[str, int]:
        found = {name: self.opening.datasets.latest(name) for name in names}
        return {name: version.version for name, version in found.items() if version is not None}

    def _features(self) -> Work:
        definition, problem = self.opening.definition(), self.project.spec.problem
        used = dict.fromkeys((problem.dataset, *definition.datasets))
        contents = {name: self.opening.datasets.show(name).digest for name in used}
        key = digest_of(["features", definition, problem, contents, environment()])
        return Work(key, lambda: _told(self.opening.build()))

    # -- training -------------------------------------------------------------------------------

    def _train(self, parameters: Mapping[str, Any], upstream: Mapping[str, Any]) -> Work:
        spec = self.project.spec
        build = self._build(upstream)
        rows = FeatureRows(self.opening.datasets.tables, build)
        until = self._known_until(rows)
        training = _overridden(spec.training, parameters)
        recipe = [training, spec.gates, spec.problem, spec.model]
        key = digest_of(["train", build.inputs, until, recipe, environment()])
        return Work(key, lambda: self._trained(rows, training, until, key))

    def _build(self, upstream: Mapping[str, Any]) -> FeatureBuild:
        name = self.opening.definition().name
        for result in upstream.values():
            if isinstance(result, dict) and result.get("feature_set") == name:
                return self.opening.features.show(name, int(result["version"]))
        return self.opening.features.show(name)

    def _known_until(self, rows: FeatureRows) -> datetime | None:
        """Just behind the newest label that is known now; None for rows without a time."""
        if not rows.timed:
            return None
        now = self.clock.now()
        found = rows.tables.query(_NEWEST, {"built": rows.build.relation}, {"now": now})
        micros = int(found["newest"][0])
        return _EPOCH + timedelta(microseconds=micros + 1) if micros >= 0 else now

    def _trained(
        self, rows: FeatureRows, training: Training, until: datetime | None, key: Digest
    ) -> dict[str, Any]:
        parts, spec = self.parts(rows), self.project.spec
        trained = parts.trainer.train(
            rows.known_by(until),
            spec=training,
            problem=spec.problem,
            gates=spec.gates,
            until=until,
            progress=self.progress,
        )
        return self._registered(Development(parts), trained, until or rows.build.created, key)

    def _registered(
        self, development: Development, trained: Trained, until: datetime, key: Digest
    ) -> dict[str, Any]:
        """The version in the registry: rejected with reasons, or under an alias."""
        name = f"train-{key.removeprefix('sha256:')[:32]}"
        version = development.register(trained, key=name, until=until)
        report = trained.report
        refused = [f"{v.gate}: {v.reason}" for v in report.verdicts if not v.passed]
        if refused:
            development.reject(version, refused)
        alias = "" if refused else self._alias(development.parts, version, report)
        return {
            "model": version.name,
            "version": version.number,
            "alias": alias,
            "rows": report.released_on,
            "learner": report.learner,
            "metrics": report.metrics,
            "worse_than": [msgspec.to_builtins(a) for a in report.advantages if a.difference < 0],
            "refused": refused,
            "passed": [v.gate for v in report.verdicts if v.passed],
        }

    def _alias(self, parts: Parts, version: Version, report: Report) -> str:
        """The first accepted version is the champion; a later one waits beside it."""
        aliases = parts.registry.aliases
        champion = aliases.get(version.name, CHAMPION)
        if champion.version == version.number:
            return CHAMPION
        alias = CHAMPION if champion.version is None else CANDIDATE
        why = (
            "The first version that passed its gates."
            if alias == CHAMPION
            else "It passed its gates; whether it beats the champion is not known yet."
        )
        evidence = {"verdicts": msgspec.to_builtins(report.verdicts), "metrics": report.metrics}
        aliases.move(
            version.name,
            alias,
            to=version.number,
            expected=aliases.get(version.name, alias),
            because=Because(why, evidence=evidence),
        )
        return alias


def raise_if_refused(result: Mapping[str, Any]) -> None:
    """Stops a pipeline whose model was refused. Errors: ``training.gates_refused``."""
    refused = list(result.get("refused") or ())
    if not refused:
        return
    address = f"{result['model']}/{result['version']}"
    raise Conflict(
        "training.gates_refused",
        f"{address} was refused by {len(refused)} of its gates: {' '.join(refused)}",
        hint="Better data or features, or a lower bar in mainspring.toml; "
        f"'mainspring models card {address}' shows every verdict.",
        version=int(result["version"]),
        reasons=refused,
    )


def _told(build: FeatureBuild) -> dict[str, Any]:
    return {
        "feature_set": build.feature_set,
        "version": build.version,
        "rows": build.table_rows,
        "columns": len(build.columns),
    }


def _overridden(spec: Training, parameters: Mapping[str, Any]) -> Training:
    """The project's training with a step's parameters put in.

    Another learner starts from its own defaults: what was declared was meant for the other one.
    """
    changed: dict[str, Any] = {k: v for k, v in parameters.items() if k != "trials"}
    if changed.get("learner", spec.learner) != spec.learner:
        changed |= {"parameters": {}, "search": {"trials": 0}}
    if changed.get("baseline", spec.baseline) != spec.baseline:
        changed |= {"baseline_parameters": {}}
    plain = {**msgspec.to_builtins(spec), **changed}
    if "trials" in parameters:
        plain["search"] = {**plain["search"], "trials": parameters["trials"]}
    try:
        return msgspec.convert(plain, Training)
    except msgspec.ValidationError as error:
        raise Invalid(
            "pipelines.bad_parameter",
            f"A parameter of the step 'train' is wrong: {error}.",
            hint=f"It takes {', '.join(PARAMETERS['train'])}, as [training] does.",
        ) from error
