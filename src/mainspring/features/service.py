"""Feature views: building them for stretches of time, reading and checking what was built."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from mainspring.core.digest import Digest, digest_of
from mainspring.core.errors import Conflict, NotFound
from mainspring.core.events import Fact, ref
from mainspring.core.names import did_you_mean
from mainspring.core.time import to_iso
from mainspring.data import Datasets, DatasetVersion
from mainspring.data.cleaning import engine_type
from mainspring.data.sql import literal, quoted
from mainspring.features import oracle, validate
from mainspring.features.events import BUILT, CHECKED
from mainspring.features.point_in_time import Compiled, Stretch, compiled
from mainspring.features.ports import FeatureStore
from mainspring.features.records import FeatureBuild, FeatureCheck, FeatureHealth
from mainspring.features.request import Request, Side
from mainspring.features.types import FeatureColumn, FeatureSet
from mainspring.ports.clock import Clock
from mainspring.ports.database import Database, Transaction
from mainspring.ports.tables import Frame, Relation, Tables
from mainspring.problem.types import Problem

# The part of the engine that decides values; raise it when the same definition gives others.
_ENGINE = 1


@dataclass(frozen=True, slots=True)
class FeatureViews:
    """The feature tables of a workspace.

    Durability and repetition: as for datasets; building the same stretch from the same inputs
    again changes nothing and returns the build that did it.
    """

    database: Database
    tables: Tables
    datasets: Datasets
    store: FeatureStore
    clock: Clock

    def build(
        self,
        definition: FeatureSet,
        problem: Problem,
        *,
        versions: Mapping[str, int] | None = None,
        start: datetime | None = None,
        end: datetime | None = None,
    ) -> FeatureBuild:
        """Features of all rows with event times in [start, end), in the table of the set.

        ``versions`` pins datasets; the others are taken at their newest. Rows of the stretch that
        the table holds already are replaced; a change of the definition starts a new table.
        Errors: ``features.*`` before anything is written; ``data.dataset_not_found``.
        """
        used = self._used(definition, problem, versions or {})
        request = _request(definition, problem, used)
        columns = validate.checked(self.tables, definition, request).columns
        recipe = _recipe(definition, request)
        contents = {name: version.digest for name, version in used.items()}
        inputs = digest_of([recipe, contents, start, end])
        done = self._done(definition.name, inputs)
        if done is not None:
            return done
        plan = compiled(definition, request, Stretch(start, end))
        return self._write(definition, problem, (used, columns, recipe, inputs), plan, (start, end))

    def compute(
        self,
        definition: FeatureSet,
        problem: Problem,
        rows: Frame,
        *,
        versions: Mapping[str, int] | None = None,
    ) -> Frame:
        """Features of rows that are in no dataset yet, from what is known at their T.

        ``rows`` has the columns of the problem's dataset; those not known ahead may be missing.
        """
        used = self._used(definition, problem, versions or {})
        request = _request(definition, problem, used)
        plan = validate.checked(self.tables, definition, request)
        given = ", ".join(
            quoted(column.name)
            if column.name in rows
            else f"CAST(NULL AS {engine_type(column.type)}) AS {quoted(column.name)}"
            for column in request.rows.schema.columns
        )
        relations = {**_relations(definition, problem, used), "given": rows}
        del relations["rows"]
        plan = replace(
            plan,
            prefix=f"rows AS (SELECT {given} FROM given), {plan.prefix}",
            sql=plan.sql.replace("WITH ", f"WITH rows AS (SELECT {given} FROM given), ", 1),
        )
        relations |= self._windowed(plan, relations)
        return self.tables.query(plan.sql, relations)

    def recipe(self, definition: FeatureSet, problem: Problem) -> tuple[Digest, Request]:
        """The digest of all that decides a row's features but the facts; and what it is over."""
        request = _request(definition, problem, self._used(definition, problem, {}))
        return _recipe(definition, request), request

    def names(self) -> list[str]:
        """The feature sets that have a build."""
        return self.database.read(self.store.names)

    def builds(self, name: str) -> list[FeatureBuild]:
        """Every build of a set, oldest first."""
        return self.database.read(lambda db: self.store.builds(db, name))

    def latest(self, name: str) -> FeatureBuild | None:
        """The newest build of a set, or None."""
        return self.database.read(lambda db: self.store.latest(db, name))

    def show(self, name: str, version: int | None = None) -> FeatureBuild:
        """One build; the newest when none is named.

        Errors: ``features.not_built``.
        """
        found = self.database.read(
            lambda db: (
                self.store.latest(db, name)
                if version is None
                else self.store.get(db, name, version)
            )
        )
        if found is None:
            at = "" if version is None else f" at version {version}"
            raise NotFound(
                "features.not_built",
                f"The feature set {name!r}{at} was not built.",
                hint=f"{did_you_mean(name, self.names())} Build it with: "
                f"mainspring features build {name}",
                feature_set=name,
            )
        return found

    def rows(
        self,
        build: FeatureBuild,
        *,
        start: datetime | None = None,
        end: datetime | None = None,
        columns: Sequence[str] | None = None,
    ) -> Frame:
        """Rows of a build by event time, in the order of event time and key."""
        chosen = "*" if columns is None else ", ".join(map(quoted, columns))
        where = ["true"]
        if start is not None:
            where.append(f"event_time >= {literal(start)}")
        if end is not None:
            where.append(f"event_time < {literal(end)}")
        sql = f"SELECT {chosen} FROM built WHERE {' AND '.join(where)} ORDER BY event_time, row_key"
        return self.tables.query(sql, {"built": build.relation})

    def get(self, name: str, keys: Sequence[str], *, as_of: datetime | None = None) -> Frame:
        """The features of some rows by their ``row_key``; with ``as_of``, only what was due then."""
        build = self.show(name)
        due = f" AND prediction_time <= {literal(as_of)}" if as_of is not None else ""
        listed = ", ".join(map(literal, keys)) or "NULL"
        sql = f"SELECT * FROM built WHERE row_key IN ({listed}){due} ORDER BY event_time, row_key"
        return self.tables.query(sql, {"built": build.relation})

    def check(self, name: str, *, sample: int = 25, seed: int = 1) -> FeatureCheck:
        """How fresh and how full a set is, and whether a slow recomputation agrees to the bit."""
        build = self.show(name)
        used = self._used(build.definition, build.problem, build.used)
        request = _request(build.definition, build.problem, used)
        relations = _relations(build.definition, build.problem, used)
        result = oracle.recomputed(self.tables, build, request, relations, sample=sample, seed=seed)
        found = FeatureCheck(
            build=build.name,
            rows=build.table_rows,
            newest_event=oracle.newest(self.tables, build.relation, "event_time"),
            newest_in_dataset=oracle.newest(self.tables, relations["rows"], request.rows.spec.time),
            features=self._health(build),
            sampled=result.sampled,
            compared=result.compared,
            mismatches=result.mismatches,
        )
        fact = Fact(
            kind=CHECKED,
            subject=ref("features", build.name),
            facts={"sampled": found.sampled, "compared": found.compared, "ok": found.ok},
        )
        self.database.write(lambda tx: tx.announce(fact))
        return found

    # -- parts --------------------------------------------------------------------------------

    def _used(
        self, definition: FeatureSet, problem: Problem, versions: Mapping[str, int]
    ) -> dict[str, DatasetVersion]:
        names = dict.fromkeys((problem.dataset, *definition.datasets))
        return {name: self.datasets.show(name, versions.get(name)) for name in names}

    def _done(self, name: str, inputs: Digest) -> FeatureBuild | None:
        """The build that made exactly this, unless a later one replaced some of it."""
        for build in reversed(self.builds(name)):
            if build.inputs == inputs:
                return build
            if build.start is None or build.end is None:
                return None
        return None

    def _write(
        self,
        definition: FeatureSet,
        problem: Problem,
        made_of: tuple[dict[str, DatasetVersion], tuple[FeatureColumn, ...], Digest, Digest],
        plan: Compiled,
        bounds: tuple[datetime | None, datetime | None],
    ) -> FeatureBuild:
        used, columns, recipe, inputs = made_of
        latest = self.latest(definition.name)
        base = latest if latest is not None and latest.recipe == recipe else None
        table = f"features/{definition.name}/r{recipe[7:23]}"
        token = digest_of([inputs, base.table_version if base else None])
        relations = _relations(definition, problem, used)
        relations |= self._windowed(plan, relations)
        stored = self.tables.append_query(
            table,
            plan.sql,
            relations,
            token=token,
            replace_where=_stretch_condition(*bounds) if self.tables.exists(table) else None,
        )
        counted = self.tables.query(
            f"SELECT count(*) AS n, count(*) FILTER ({_stretch_condition(*bounds)}) AS m FROM built",
            {"built": _version_of(table, stored)},
        )
        build = FeatureBuild(
            feature_set=definition.name,
            version=latest.version + 1 if latest else 1,
            table=table,
            table_version=stored,
            definition=definition,
            problem=problem,
            recipe=recipe,
            inputs=inputs,
            used={name: version.version for name, version in used.items()},
            columns=columns,
            start=bounds[0],
            end=bounds[1],
            rows=int(counted["m"][0]),
            table_rows=int(counted["n"][0]),
            created=self.clock.now(),
        )
        self.database.write(lambda tx: self._register(tx, build, latest, used))
        return build

    def _windowed(self, plan: Compiled, relations: Mapping[str, Relation]) -> dict[str, Relation]:
        """The windows of a plan, added up: one row per asking row, by its number."""
        if not plan.plan.columns:
            return {}
        from mainspring.features import windows

        return {"windowed": windows.added_up(self.tables, plan, relations)}

    def _register(
        self,
        tx: Transaction,
        build: FeatureBuild,
        before: FeatureBuild | None,
        used: Mapping[str, DatasetVersion],
    ) -> None:
        now = self.store.latest(tx, build.feature_set)
        if (now and now.version) != (before and before.version):
            raise Conflict(
                "features.concurrent_build",
                f"Another build of {build.feature_set!r} finished first.",
                hint="Run the command again; what is built already is not built twice.",
                feature_set=build.feature_set,
            )
        self.store.add(tx, build)
        tx.announce(
            Fact(
                kind=BUILT,
                subject=ref("build", build.name),
                facts={
                    "feature_set": build.feature_set,
                    "version": build.version,
                    "rows": build.rows,
                    "columns": len(build.columns),
                    "start": to_iso(build.start) if build.start else None,
                    "end": to_iso(build.end) if build.end else None,
                    "recipe": build.recipe,
                },
                used=tuple(ref("dataset", version.name) for version in used.values()),
                generated=(ref("features", build.name),),
            )
        )

    def _health(self, build: FeatureBuild) -> tuple[FeatureHealth, ...]:
        words = ", ".join(
            f"1 - count({quoted(column.name)}) / greatest(count(*), 1) AS {quoted(f'n{index}')}, "
            f"approx_count_distinct({quoted(column.name)}) AS {quoted(f'd{index}')}"
            for index, column in enumerate(build.columns)
        )
        found = self.tables.query(f"SELECT {words} FROM built", {"built": build.relation})
        return tuple(
            FeatureHealth(
                name=column.name,
                null_ratio=float(found[f"n{index}"][0]),
                distinct=int(found[f"d{index}"][0]),
            )
            for index, column in enumerate(build.columns)
        )


def _request(
    definition: FeatureSet, problem: Problem, used: Mapping[str, DatasetVersion]
) -> Request:
    sides = {name: Side(name, version.spec, version.schema) for name, version in used.items()}
    facts = {name: sides[name] for name in definition.datasets}
    return Request(problem, sides[problem.dataset], facts)


def _relations(
    definition: FeatureSet, problem: Problem, used: Mapping[str, DatasetVersion]
) -> dict[str, Relation]:
    rows = used[problem.dataset].relation
    relations: dict[str, Relation] = {"rows": rows, "all_rows": rows}
    for name in definition.datasets:
        relations[f"facts_{name}"] = used[name].relation
    return relations


def _recipe(definition: FeatureSet, request: Request) -> Digest:
    """The digest of all that decides the values of a row, but the facts."""
    problem = request.problem
    sides = {"": request.rows, **request.facts}
    return digest_of(
        [
            _ENGINE,
            definition.views,
            definition.categories,
            [problem.dataset, problem.target, problem.target_sql, problem.predict_before],
            [problem.label_known_at, problem.label_delay, problem.groups],
            {
                name: [side.spec.key, side.spec.time, side.spec.known_at, side.schema]
                for name, side in sides.items()
            },
            request.known_ahead,
        ]
    )


def _stretch_condition(start: datetime | None, end: datetime | None) -> str:
    parts = []
    if start is not None:
        parts.append(f"event_time >= '{to_iso(start)}'")
    if end is not None:
        parts.append(f"event_time < '{to_iso(end)}'")
    return " AND ".join(parts) or "true"


def _version_of(table: str, version: int) -> Relation:
    from mainspring.ports.tables import TableVersion

    return TableVersion(table, version)
