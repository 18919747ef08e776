"""From a project file to rows that a model can learn from: ingest, then build features."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from mainspring.core.digest import Digest, digest_of
from mainspring.core.errors import Invalid
from mainspring.core.events import Fact, ref
from mainspring.data.service import Datasets
from mainspring.data.versions import DatasetVersion
from mainspring.features.records import FeatureBuild
from mainspring.features.service import FeatureViews
from mainspring.features.types import FeatureSet
from mainspring.governance.service import Record
from mainspring.pipelines.service import Running
from mainspring.ports.database import Database
from mainspring.projects import events
from mainspring.projects.code import load_object
from mainspring.projects.file import LoadedProject

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Opening:
    """The first half of every pipeline of a project."""

    project: LoadedProject
    database: Database
    datasets: Datasets
    features: FeatureViews
    record: Record
    progress: Progress

    def announce(self) -> None:
        """Records the project's definition, once for each version of it."""
        spec, digest = self.project.spec, self.project.digest
        subject = ref("project", spec.project.name)
        problem = ref("problem", spec.project.name)
        objective = ref("objective", spec.project.name)
        facts = {
            "digest": digest,
            "objective": spec.problem.objective,
            "questions": list(spec.problem.questions),
            "kpi": spec.problem.kpi.name if spec.problem.kpi else "",
        }

        newest = self.record.newest(kind=events.OPENED, limit=1)
        if newest and newest[0].facts.get("digest") == digest:
            return
        fact = Fact(
            kind=events.OPENED,
            subject=subject,
            facts=facts,
            used=(objective,),
            generated=(problem,),
        )
        self.database.write(lambda tx: tx.announce(fact))

    def ingest(self, running: Running | None = None) -> dict[str, tuple[DatasetVersion, ...]]:
        """Every dataset of the project, period by period; what is there already is not redone."""
        spec, found = self.project.spec, {}
        for name in spec.datasets:
            self.progress(f"ingesting {name}")

            def work(name: str = name) -> list[int]:
                made = self.datasets.ingest(
                    name,
                    spec.datasets[name],
                    sources=spec.sources,
                    folder=self.project.folder,
                )
                return [version.version for version in made]

            if running is None:
                work()
            else:
                running.step(f"ingest {name}", self._key(running, f"ingest {name}"), work)
            found[name] = tuple(self.datasets.versions(name))
        return found

    def build(self, running: Running | None = None) -> FeatureBuild:
        """The project's features for all rows."""
        self.progress("building features")
        definition = self.definition()

        def work() -> int:
            return self.features.build(definition, self.project.spec.problem).version

        if running is None:
            version = work()
        else:
            version = running.step("features", self._key(running, "features"), work)
        return self.features.show(definition.name, version)

    def definition(self) -> FeatureSet:
        """The feature set that the project's Python file defines."""
        found = load_object(self.project.folder, self.project.spec.training.features)
        if not isinstance(found, FeatureSet):
            raise Invalid(
                "project.not_features",
                f"{self.project.spec.training.features} is {type(found).__name__}, not features.",
                hint="Make it with ms.feature_set(...).",
            )
        return found

    def _key(self, running: Running, name: str) -> Digest:
        return digest_of([running.execution.id, name])
