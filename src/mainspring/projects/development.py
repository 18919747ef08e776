"""Making model versions: the first one, and challengers for the one that is live."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec
import numpy as np

from mainspring.core.digest import digest_of
from mainspring.core.durations import parse_duration
from mainspring.core.errors import Conflict
from mainspring.core.events import Fact, Ref, ref
from mainspring.core.time import to_iso
from mainspring.improvement.comparison import PairedComparison
from mainspring.improvement.machine import Challenge
from mainspring.monitoring import live
from mainspring.projects import events
from mainspring.projects.packaging import REPORT_FILE, build_facts, build_package
from mainspring.projects.parts import Parts
from mainspring.projects.production import CHAMPION
from mainspring.registry.details import Details
from mainspring.registry.facts import DataUsed
from mainspring.registry.packages import Package
from mainspring.registry.types import Because, Version
from mainspring.training.calibration import Calibration
from mainspring.training.decision import Decision
from mainspring.training.evaluation import Judging, evaluate
from mainspring.training.gates import guardrail_verdicts, metric_verdicts
from mainspring.training.service import Champion, Report, Trained
from mainspring.training.table import TrainingTable
from mainspring.training.vectors import Vector

VERDICT: Final = "verdict"
WHY: Final = "why"


@dataclass(frozen=True, slots=True)
class Development:
    """Trains a project's models and puts them into the registry."""

    parts: Parts

    def first(self, until: datetime) -> Version:
        """The first version, trained on what was known by then, judged, and made champion.

        Errors: ``training.gates_refused`` when a gate says no: the version is registered as
        rejected, with the reasons.
        """
        parts, spec = self.parts, self.parts.project.spec
        table = parts.rows.known_by(until)
        trained = parts.trainer.train(
            table,
            spec=spec.training,
            problem=spec.problem,
            gates=spec.gates,
            until=until,
            progress=parts.progress,
        )
        version = self.register(trained, key="first", until=until)
        refused = _refusals(trained.report)
        if refused:
            self.reject(version, refused)
            raise Conflict(
                "training.gates_refused",
                f"{version.address} was refused by {len(refused)} of its gates: {refused[0]}",
                hint="Better features or a lower bar; 'mainspring models card' shows all verdicts.",
                version=version.number,
                reasons=refused,
            )
        because = Because(
            "The first version that passed its gates.", evidence=_evidence(trained.report)
        )
        parts.registry.aliases.move(
            version.name, CHAMPION, to=version.number, expected=None, because=because
        )
        return version

    def challenger(self, challenge: Challenge, until: datetime) -> Version:
        """A challenger, judged on the newest labelled rows beside the champion's live answers.

        The version carries the verdict and its reason as tags, so that a crash behind this point
        needs no second training.
        """
        parts, spec = self.parts, self.parts.project.spec
        package = parts.registry.packages.open(challenge.model, challenge.champion)
        table = parts.rows.known_by(until, since=self._since(until))
        training = msgspec.structs.replace(spec.training, learner=package.facts.learner)
        trained = parts.trainer.challenge(
            table,
            champion=_champion(package),
            holdout=parse_duration(spec.comparison.holdout),
            spec=training,
            problem=spec.problem,
            gates=spec.gates,
            until=until,
            progress=parts.progress,
        )
        compared, lost = self._against_champion(trained, challenge, until)
        accepted = compared.verdict == "better" and not lost
        why = lost[0] if lost else compared.reason
        tags = {VERDICT: "accepted" if accepted else "rejected", WHY: why}
        if accepted and spec.comparison.refit:
            trained = parts.trainer.refit(
                trained,
                table,
                spec=training,
                problem=spec.problem,
                until=until,
                recalibrate=True,
                progress=parts.progress,
            )
        return self.register(
            trained, key=f"challenge-{challenge.id}", until=until, tags=tags, compared=compared
        )

    def register(
        self,
        trained: Trained,
        *,
        key: str,
        until: datetime,
        tags: dict[str, str] | None = None,
        compared: PairedComparison | None = None,
    ) -> Version:
        """The trained model as the next version; the same key gives the same version again."""
        parts, spec = self.parts, self.parts.project.spec
        name = parts.production.model
        # The same training again, after a crash, is the same run.
        run_id = digest_of([name, key, to_iso(until)]).removeprefix("sha256:")[:32]
        parts.registry.models.register(name, description=spec.project.description, exists_ok=True)
        used = self._used()
        manifest, files = build_package(
            trained,
            name=name,
            problem=spec.problem,
            used=used,
            run_id="",
            feature_digest=parts.rows.digest,
            trained_until=to_iso(until),
            endpoint=spec.endpoint,
        )
        data = [
            DataUsed(ref=one, rows=trained.report.released_on, until=to_iso(until))
            for one in used[:1]
        ]
        details = Details(
            description=_description(trained.report),
            tags=tags or {},
            facts=build_facts(trained.report, spec.problem, data),
            key=key,
            run_id=run_id,
        )
        self._announce(trained.report, run_id, used, key=key, until=until, compared=compared)
        return parts.registry.versions.create(name, manifest, files, details=details)

    def reject(self, version: Version, reasons: list[str]) -> None:
        """Marks a version as rejected, with the reasons on record; once."""
        if version.status == "rejected":
            return
        because = Because(" ".join(reasons), evidence={"reasons": reasons})
        self.parts.registry.versions.judge(version.name, version.number, "rejected", because)

    # -- inside -------------------------------------------------------------------------------

    def _since(self, until: datetime) -> datetime | None:
        window = self.parts.project.spec.retraining.window
        return None if window == "all" else until - parse_duration(window)

    def _against_champion(
        self, trained: Trained, challenge: Challenge, until: datetime
    ) -> tuple[PairedComparison, list[str]]:
        """The held-back challenger beside the champion's live answers, and the gates it lost.

        Lost are gates that the champion passes on these rows and the challenger does not. A
        stretch so hard that both fail is no reason to keep the worse of the two; and who beats
        the champion need not be asked again about the baseline that the champion beat.
        """
        parts, spec = self.parts, self.parts.project.spec
        test, champion = self._answered(trained, challenge, until)
        scores = trained.held_back.predict(test.inputs)
        cut = trained.held_back.decision.threshold if trained.held_back.decision else 0.5
        compared = parts.production.compare(
            test.target,
            champion,
            scores,
            test.predicted_at if test.predicted_at is not None else np.array([]),
            challenge,
            spec.comparison,
            threshold=cut,
        )
        old = self._failed(test, champion, parts.production.threshold(challenge.champion))
        new = self._failed(test, scores, cut)
        return compared, [reason for gate, reason in new.items() if gate not in old]

    def _answered(
        self, trained: Trained, challenge: Challenge, until: datetime
    ) -> tuple[TrainingTable, Vector]:
        """The test rows that the champion answered live, and its answers."""
        parts = self.parts
        since = until - parse_duration(parts.project.spec.comparison.holdout) - timedelta(days=1)
        champion = str(challenge.champion)
        rows = live.paired(
            parts.tables,
            parts.production.endpoint,
            (champion, champion),
            since,
            until,
            now=until,
        )
        answers = dict(zip(rows["prediction_id"].tolist(), rows["first"].tolist(), strict=True))
        scores = np.array([answers.get(key, np.nan) for key in trained.test.keys.tolist()])
        both = ~np.isnan(scores)
        return trained.test.take(both), scores[both]

    def _failed(self, test: TrainingTable, scores: Vector, cut: float) -> dict[str, str]:
        """The metric gates and guardrails that these scores fail, with the reasons."""
        spec = self.parts.project.spec
        judging = Judging(task=spec.problem.task, threshold=cut, costs=spec.problem.costs, draws=1)
        evaluation = evaluate(test.target, scores, judging=judging)
        verdicts = metric_verdicts(spec.problem, spec.gates, evaluation)
        verdicts += guardrail_verdicts(spec.problem.guardrails, test, scores, judging)
        return {one.gate: f"{one.gate}: {one.reason}" for one in verdicts if not one.passed}

    def _used(self) -> tuple[Ref, ...]:
        parts = self.parts
        return (parts.rows.ref, ref("problem", parts.project.spec.project.name))

    def _announce(
        self,
        report: Report,
        run_id: str,
        used: tuple[Ref, ...],
        *,
        key: str,
        until: datetime,
        compared: PairedComparison | None,
    ) -> None:
        run = ref("run", run_id)
        if self.parts.record.about(run):
            return
        facts: dict[str, Any] = {
            "key": key,
            "until": to_iso(until),
            "learner": report.learner,
            "metrics": report.metrics,
            "rows": report.released_on,
            "verdicts": msgspec.to_builtins(report.verdicts),
            "compared": msgspec.to_builtins(compared) if compared else None,
        }
        fact = Fact(kind=events.TRAINED, subject=run, facts=facts, used=used, generated=(run,))
        self.parts.database.write(lambda tx: tx.announce(fact))


def _champion(package: Package) -> Champion:
    """What a challenger takes over from a version's package."""
    report = msgspec.json.decode(package.files[REPORT_FILE], type=Report)
    plain = package.manifest.calibration or {"method": "none"}
    calibration: Calibration = msgspec.convert(plain, Calibration)
    chosen = msgspec.convert(report.decision, Decision) if report.decision else None
    return Champion(report.parameters, calibration, chosen)


def _refusals(report: Report) -> list[str]:
    return [
        f"{verdict.gate}: {verdict.reason}" for verdict in report.verdicts if not verdict.passed
    ]


def _evidence(report: Report) -> dict[str, Any]:
    plain: dict[str, Any] = {"verdicts": msgspec.to_builtins(report.verdicts)}
    return {**plain, "metrics": report.metrics}


def _description(report: Report) -> str:
    metrics = ", ".join(f"{name} {value:.4g}" for name, value in report.metrics.items())
    return f"{report.learner} on {report.released_on:,} rows; held back: {metrics}."
