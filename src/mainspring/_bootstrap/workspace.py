"""Settings in, a workspace out: the one place that names adapters.

Every part is made when it is first used, so a listing never loads the table engine and a
prediction never loads a trainer.
"""

from __future__ import annotations

import getpass
import os
import tomllib
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self, cast

from mainspring._adapters.clock import SystemClock
from mainspring._bootstrap.folder import PROJECT_FILE, find_project, find_workspace
from mainspring._bootstrap.later import Later
from mainspring.core.actor import SYSTEM, Actor
from mainspring.core.errors import Invalid, Unavailable
from mainspring.core.settings import Resolved, Value, resolve
from mainspring.ports.clock import Clock
from mainspring.ports.database import Database
from mainspring.ports.objects import Objects
from mainspring.ports.tables import Tables

if TYPE_CHECKING:
    from mainspring._bootstrap.outcomes import OutcomeReports
    from mainspring._bootstrap.remote import Remote
    from mainspring._bootstrap.saving import Saving
    from mainspring._bootstrap.tracking import Recording
    from mainspring.data.service import Datasets
    from mainspring.features.service import FeatureViews
    from mainspring.governance.garbage import Garbage
    from mainspring.governance.service import Record
    from mainspring.improvement.service import Loop
    from mainspring.monitoring.service import Watch
    from mainspring.pipelines.service import Executions
    from mainspring.projects.file import LoadedProject
    from mainspring.registry.service import Registry
    from mainspring.serving.ports import Runtime
    from mainspring.tracking import Tracking
    from mainspring.tracking.active import Started
    from mainspring.training.ports import Learner
    from mainspring.training.service import Trainer


class Workspace:
    """All of Mainspring over one folder (and what the settings put elsewhere).

    Concurrency: may be shared between threads; several processes may open one folder.

    Example:
        >>> import tempfile
        >>> with open_workspace(tempfile.mkdtemp()) as ws:
        ...     with ws.runs.start("first", params={"rate": 0.1}) as run:
        ...         run.log({"loss": 1.0}, step=1)
        ...     ws.runs.get(run.id).status
        'FINISHED'
    """

    def __init__(
        self,
        folder: Path,
        settings: Mapping[str, Resolved],
        clock: Clock,
        *,
        attended: bool = True,
    ) -> None:
        self.folder = folder
        self.settings = dict(settings)
        self.clock = clock
        self.attended = attended
        _make(folder)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Finishes accepted writes and lets go."""
        if "runs" in self.__dict__:
            self.runs.close()
        if "database" in self.__dict__:
            self.database.close()
        if self.remote is not None:
            self.remote.close()

    def setting(self, name: str) -> Value:
        """A setting's value."""
        return self.settings[name].value

    @cached_property
    def actor(self) -> Actor:
        """Who acts, for the record."""
        name = str(self.setting("actor"))
        if not name:
            try:
                name = getpass.getuser()
            except (OSError, KeyError):
                name = "unknown"
        return Actor(name)

    @cached_property
    def threads(self) -> int:
        """How many threads training and queries may use: the setting, else the usable cores."""
        return int(self.setting("threads")) or self.cores

    @cached_property
    def cores(self) -> int:
        """How many cores this process may use: its cgroup's quota, and what it may run on."""
        from mainspring._adapters.surroundings.cores import usable_cores

        return usable_cores()

    # -- the machine room -------------------------------------------------------------------------

    @cached_property
    def remote(self) -> Remote | None:
        """The server that holds tracking and registry; None when this folder does."""
        address = str(self.setting("url"))
        if not address:
            return None
        from mainspring._bootstrap.remote import Remote

        return Remote(address, str(self.setting("token")))

    @cached_property
    def database(self) -> Database:
        """The database, at the newest schema. Errors: ``workspace.no_client`` for a server's."""
        if self.remote is not None:
            from mainspring._bootstrap.remote import folder_needed

            raise folder_needed()
        database = self._connect(str(self.setting("database")))
        database.migrate()
        return database

    def _connect(self, address: str) -> Database:
        who = self.actor if self.attended else SYSTEM
        if address.startswith(("postgresql://", "postgres://")):
            from mainspring._adapters.postgres.database import PostgresDatabase

            return PostgresDatabase(address, self.clock, who)
        from mainspring._adapters.sqlite.database import SqliteDatabase

        if address and not address.startswith("sqlite:///"):
            raise Invalid(
                "settings.bad_database",
                f"The setting database is {address[:80]!r}.",
                hint="Give sqlite:///FILE or postgresql://USER@HOST/NAME.",
            )
        file = address.removeprefix("sqlite:///") or str(self.folder / "mainspring.db")
        return SqliteDatabase(file, self.clock, who)

    @cached_property
    def objects(self) -> Objects:
        """Artifacts and packages by content."""
        from mainspring._adapters.files.objects import FileObjects

        return FileObjects(self._place("objects"))

    @cached_property
    def tables(self) -> Tables:
        """Datasets, features, predictions and outcomes."""
        from mainspring._adapters.delta.tables import DeltaTables

        return DeltaTables(
            self._place("tables"),
            memory_bytes=int(self.setting("query_memory_mb")) * 1_000_000,
            threads=self.threads,
            spill=self.folder / "spill",
        )

    @property
    def _tables_later(self) -> Tables:
        """The tables, opened by the first use: listings read the database alone."""
        return cast("Tables", Later(lambda: self.tables))

    def _place(self, name: str) -> Path:
        value = str(self.setting(name))
        if value.startswith("s3://"):
            raise Unavailable(
                "settings.no_s3",
                f"The setting {name} names an S3 address, and this version stores on files only.",
                hint="Name a folder.",
                setting=name,
            )
        return Path(value).expanduser().absolute() if value else self.folder / name

    # -- the stages -------------------------------------------------------------------------------

    @cached_property
    def project(self) -> LoadedProject:
        """The project this workspace belongs to. Errors: ``project.not_found``."""
        from mainspring.projects.file import read_project

        return read_project(
            find_project(self.folder) or find_project(Path.cwd()) or self.folder.parent
        )

    @cached_property
    def datasets(self) -> Datasets:
        """Datasets and their versions."""
        from mainspring._adapters.sql.data import SqlDatasetStore
        from mainspring.data.service import Datasets

        return Datasets(self.database, self._tables_later, SqlDatasetStore(), self.clock)

    @cached_property
    def features(self) -> FeatureViews:
        """Feature views as of each moment."""
        from mainspring._adapters.sql.features import SqlFeatureStore
        from mainspring.features.service import FeatureViews

        return FeatureViews(
            self.database, self._tables_later, self.datasets, SqlFeatureStore(), self.clock
        )

    @cached_property
    def tracking(self) -> Tracking:
        """Experiments, runs, logged models and artifacts."""
        if self.remote is not None:
            return self.remote.tracking
        from mainspring._bootstrap.tracking import open_tracking

        return open_tracking(self.database, self.objects, self.clock)

    @cached_property
    def runs(self) -> Started:
        """Runs as training code starts and finds them; what they log is sent in the background."""
        from mainspring._bootstrap.tracking import open_runs

        tracking = cast("Tracking", Later(lambda: self.tracking))
        return open_runs(tracking, self.spool, self.recording)

    @property
    def spool(self) -> Path:
        """Where what runs log waits for the store."""
        named = str(self.setting("spool"))
        own = self.folder.name if self.remote is not None else ""  # stores do not share a spool
        return Path(named).expanduser().absolute() / own if named else self.folder / "spool"

    @property
    def recording(self) -> Recording:
        """How runs are recorded, by the settings. Errors: ``settings.bad_mode``."""
        from mainspring._bootstrap.tracking import read_recording

        return read_recording(str(self.setting("mode")), str(self.setting("capture")))

    @cached_property
    def executions(self) -> Executions:
        """Executions of pipelines."""
        from mainspring._adapters.sql.pipelines import SqlExecutionStore
        from mainspring.pipelines.service import Executions

        return Executions(self.database, self.objects, SqlExecutionStore(), self.clock)

    @cached_property
    def trainer(self) -> Trainer:
        """Training with the learners that are installed."""
        from mainspring.training.service import Trainer

        return Trainer(learners(self.threads))

    @cached_property
    def registry(self) -> Registry:
        """Models, versions, aliases and packages."""
        if self.remote is not None:
            return self.remote.registry
        from mainspring._adapters.sql.registry import SqlRegistry
        from mainspring.registry.service import open_registry

        return open_registry(
            self.database, SqlRegistry(self.database.dialect), self.clock, self.objects
        )

    @property
    def models(self) -> Saving:
        """Keeps a model that is in hand: ``ws.models.save(name, model, sample=rows)``."""
        from mainspring._bootstrap.saving import Saving

        return Saving(self)

    @cached_property
    def watch(self) -> Watch:
        """Windows, outcomes and alerts of endpoints."""
        from mainspring._adapters.sql.monitoring import SqlMonitorStore
        from mainspring.monitoring.service import Watch

        return Watch(self.database, self._tables_later, SqlMonitorStore(), self.clock)

    @property
    def outcomes(self) -> OutcomeReports:
        """Takes in what became of predictions: ``ws.outcomes.report(endpoint, [1], ids=["a"])``."""
        from mainspring._bootstrap.outcomes import OutcomeReports

        return OutcomeReports(self)

    @cached_property
    def loop(self) -> Loop:
        """Continuous improvement."""
        from mainspring._adapters.sql.improvement import SqlChallengeStore
        from mainspring.improvement.service import Loop

        return Loop(self.database, SqlChallengeStore(), self.clock)

    @cached_property
    def governance(self) -> Record:
        """The record: its proof, its pages, its graph."""
        from mainspring._adapters.sql.event_log import SqlEventLog
        from mainspring.governance.service import Record

        return Record(self.database, SqlEventLog)

    @cached_property
    def garbage(self) -> Garbage:
        """What was deleted and what nothing needs."""
        from mainspring._adapters.sql.garbage import SqlGarbage
        from mainspring.governance.garbage import Garbage

        return Garbage(
            self.database, self.objects, SqlGarbage(), self.clock, self.registry.packages.digests
        )


def open_workspace(
    where: str | Path | None = None,
    *,
    clock: Clock | None = None,
    mode: str | None = None,
    given: Mapping[str, Value | None] | None = None,
    attended: bool = True,
) -> Workspace:
    """The workspace in a folder or at a server's address; else the one that the settings name.

    Without any, the nearest upward from the current folder. A server offers runs and the registry
    by the same methods. ``mode="offline"`` keeps what runs log on disk until it is synced. The
    record says that the person did what is done, or the service itself when it is not
    ``attended``.

    Errors: ``settings.*``; ``workspace.not_a_folder``, ``workspace.not_writable``.
    """
    given = {**(given or {}), **({"mode": mode} if mode else {})}
    if isinstance(where, str) and where.startswith(("http://", "https://")):
        given, where = {**given, "url": where}, None
    elif where is not None:
        given = {"url": "", **given}  # a folder that is named wins over a server of the settings
    folder, settings = locate_workspace(where, given)
    if settings["url"].value:
        from mainspring._bootstrap.remote import state_folder

        folder = state_folder(str(settings["url"].value))
    return Workspace(folder, settings, clock or SystemClock(), attended=attended)


def locate_workspace(
    where: str | Path | None = None, given: Mapping[str, Value | None] | None = None
) -> tuple[Path, dict[str, Resolved]]:
    """Where the workspace lies or would lie, and every setting; nothing is made.

    Errors: ``settings.*``.
    """
    here = Path.cwd()
    wanted = dict(given or {})
    if where is not None:
        wanted["workspace"] = str(where)
    project = find_project(Path(str(wanted.get("workspace") or here)).absolute())
    settings = resolve(os.environ, _file_settings(project), wanted)
    folder = find_workspace(str(settings["workspace"].value), here)
    if folder.name != ".mainspring" and (folder / PROJECT_FILE).is_file():
        folder /= ".mainspring"
    return folder, settings


def _file_settings(project: Path | None) -> dict[str, Value]:
    """``[settings]`` of the project file; a file that cannot be read says so when it is needed."""
    if project is None:
        return {}
    try:
        found = tomllib.loads((project / PROJECT_FILE).read_text("utf-8")).get("settings", {})
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _make(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except FileExistsError as error:
        raise Invalid(
            "workspace.not_a_folder",
            f"{str(folder)!r} is not a folder.",
            hint="Name the folder that holds the workspace, or one to make.",
        ) from error
    except OSError as error:
        raise Unavailable(
            "workspace.not_writable",
            f"The workspace {str(folder)!r} cannot be made ({error.strerror}).",
            hint="Choose another with --workspace DIR.",
        ) from error


def learners(threads: int) -> dict[str, Learner]:
    """Every learner by name; one whose library is missing says so when it is used."""
    from mainspring._adapters.lightgbm.learner import GradientBoosting
    from mainspring._adapters.sklearn.learner import Linear, Logistic
    from mainspring.training.linear import ConstantLearner

    # Threads that wait for each other shall sleep, not spin: on busy cores spinning costs ten times
    # the work. Read by OpenMP when the first learner's library is loaded.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    found: list[Learner] = [Logistic(), Linear(), GradientBoosting(threads), ConstantLearner()]
    return {learner.name: learner for learner in found}


def runtimes(settings: Mapping[str, Resolved] | None = None) -> dict[str, Runtime]:
    """Every serving runtime by name, as far as the settings let it run."""
    from mainspring._bootstrap.runtimes import known_runtimes

    return known_runtimes(settings)
