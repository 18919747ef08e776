"""Running a project's pipelines: steps in their order, each done once for the same inputs."""

from __future__ import annotations

import graphlib
import inspect
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

import msgspec

from mainspring.core.digest import Digest, digest_of, sha256
from mainspring.core.errors import Conflict, Invalid, MainspringError, NotFound
from mainspring.core.ids import new_id
from mainspring.core.names import did_you_mean
from mainspring.pipelines.service import Executions, Running
from mainspring.pipelines.steps import current, step_key
from mainspring.projects.code import load_object
from mainspring.projects.file import LoadedProject
from mainspring.projects.spec import Pipeline, Step
from mainspring.projects.steps import PARAMETERS, BuiltIns, Work, raise_if_refused

TRAIN: Final = "train"
DEFAULT: Final = Pipeline(
    steps={
        "ingest": Step(run="ingest"),
        "features": Step(run="features", needs=("ingest",)),
        "train": Step(run="train", needs=("features",)),
        "deploy": Step(run="deploy", needs=("train",)),
    }
)
Value = str | int | float | bool
StepState = Literal["ran", "cached", "would run"]


class StepLine(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a step, or would: its result once it has one."""

    step: str
    run: str
    state: StepState
    seconds: float = 0.0
    result: Any = None


class PipelineRun(msgspec.Struct, frozen=True, kw_only=True):
    """A pipeline's run: its execution (none for a dry run) and its steps in the order they ran."""

    pipeline: str
    execution: str | None
    steps: tuple[StepLine, ...]


@dataclass(frozen=True, slots=True)
class _Planned:
    """A step with the parameters it will get."""

    name: str
    step: Step
    parameters: dict[str, Value]
    function: Callable[..., Any] | None


@dataclass(frozen=True, slots=True)
class Pipelines:
    """The pipelines of one project over one workspace."""

    project: LoadedProject
    executions: Executions
    built_ins: BuiltIns

    def names(self) -> tuple[str, ...]:
        """What can be run: the declared ones, and ``train``."""
        return tuple(dict.fromkeys((*self.project.spec.pipelines, TRAIN)))

    def preview(self, name: str, given: Mapping[str, str]) -> PipelineRun:
        """What a run would do. A step behind one that would run would run too."""
        lines: list[StepLine] = []
        results: dict[str, Any] = {}
        for one in self._planned(name, given):
            found = None
            if all(need in results for need in one.step.needs):
                work = self._work(one, results)
                found = self.executions.kept(work.key) if work.key else None
            if found is not None:
                results[one.name] = self.built_ins.current(one.step.run, found[0])
            lines.append(
                StepLine(
                    step=one.name,
                    run=one.step.run,
                    state="cached" if found is not None else "would run",
                    result=results.get(one.name),
                )
            )
        return PipelineRun(pipeline=name, execution=None, steps=tuple(lines))

    def run(self, name: str, given: Mapping[str, str], *, cache: bool = True) -> PipelineRun:
        """Runs a pipeline; what an earlier run did with the same inputs is not done again.

        A run that was cut off is taken up by the same call. Without ``cache`` everything is done
        anew. Errors: ``pipelines.not_found``, ``pipelines.unknown_parameter``,
        ``pipelines.step_failed`` with the line of the user's file, ``training.gates_refused``,
        and those of the steps.
        """
        planned = self._planned(name, given)
        self.built_ins.opening.announce()
        salt = "" if cache else new_id()
        key = digest_of([self._definition(planned), sorted(given.items()), salt])
        running = self.executions.begin(name, key=key, parameters=dict(given))
        token = current.set(running)
        try:
            lines = tuple(self._lines(planned, running, salt))
        except BaseException as error:
            running.end("failed", error=f"{type(error).__name__}: {error}")
            raise
        finally:
            current.reset(token)
        running.end("done")
        return PipelineRun(pipeline=name, execution=running.execution.id, steps=lines)

    # -- a step -------------------------------------------------------------------------------

    def _lines(self, planned: list[_Planned], running: Running, salt: str) -> Iterator[StepLine]:
        results: dict[str, Any] = {}
        clock = self.executions.clock
        for one in planned:
            started = clock.monotonic_seconds()
            work = self._work(one, results)
            key = digest_of([work.key or new_id(), salt]) if salt or not work.key else work.key
            kept = self.executions.kept(key)
            result = running.step(one.name, key, work.run)
            if kept is not None:
                result = self.built_ins.current(one.step.run, result)
            if one.step.run == TRAIN:
                raise_if_refused(result)
            results[one.name] = result
            yield StepLine(
                step=one.name,
                run=one.step.run,
                state="cached" if kept is not None else "ran",
                seconds=clock.monotonic_seconds() - started,
                result=result,
            )

    def _work(self, one: _Planned, results: Mapping[str, Any]) -> Work:
        upstream = {need: results[need] for need in one.step.needs}
        if one.function is None:
            return self.built_ins.work(one.step.run, one.parameters, upstream)
        function = one.function
        arguments = {**_accepted(function, upstream), **one.parameters}
        try:
            bound = inspect.signature(function).bind(**arguments)
        except TypeError as error:
            raise Invalid(
                "pipelines.bad_parameter",
                f"The step {one.name!r} cannot be called: {error}.",
                hint=f"Give it under [pipelines.NAME.steps.{one.name}] parameters, with --set, or "
                "as the name of a step that it needs.",
                step=one.name,
            ) from error
        bound.apply_defaults()
        plain = {name: _plain(value) for name, value in bound.arguments.items()}
        key = digest_of([one.step.run, step_key(function, plain)])
        return Work(key, lambda: _called(one, function, bound))

    # -- the plan -----------------------------------------------------------------------------

    def _planned(self, name: str, given: Mapping[str, str]) -> list[_Planned]:
        pipeline = self.project.spec.pipelines.get(name) or (DEFAULT if name == TRAIN else None)
        if pipeline is None:
            raise NotFound(
                "pipelines.not_found",
                f"The project has no pipeline {name!r}.",
                hint=f"{did_you_mean(name, self.names())} Declare it under "
                f"[pipelines.{name}.steps] of mainspring.toml.",
                pipeline=name,
            )
        graph = {step: set(spec.needs) for step, spec in pipeline.steps.items()}
        order = list(graphlib.TopologicalSorter(graph).static_order())
        left = dict(given)
        planned = [self._plan(step, pipeline.steps[step], left) for step in order]
        if left:
            known = sorted({word for one in planned for word in _takes(one)})
            raise Invalid(
                "pipelines.unknown_parameter",
                f"No step of {name!r} takes {next(iter(left))!r}.",
                hint=did_you_mean(next(iter(left)).rpartition(".")[2], known),
                pipeline=name,
            )
        return planned

    def _plan(self, name: str, step: Step, left: dict[str, str]) -> _Planned:
        """A step with its parameters; those given for it are taken out of what is left."""
        function = None
        if ":" in step.run:
            function = inspect.unwrap(load_object(self.project.folder, step.run))
        planned = _Planned(name, step, dict(step.parameters), function)
        takes = _takes(planned)
        unknown = [word for word in step.parameters if word not in takes]
        if unknown:
            raise Invalid(
                "pipelines.unknown_parameter",
                f"The step {name!r} ({step.run}) takes no parameter {unknown[0]!r}.",
                hint=did_you_mean(unknown[0], takes),
                step=name,
            )
        for word in takes:
            for key in (word, f"{name}.{word}"):
                if key in left:
                    planned.parameters[word] = parse_value(left[key])
        for key in [k for k in left if k in takes or k.removeprefix(f"{name}.") in takes]:
            del left[key]
        return planned

    def _definition(self, planned: list[_Planned]) -> list[Any]:
        """What a run is of: the project file, its code, and what its sources hold now."""
        files = {one.step.run.partition(":")[0] for one in planned if one.function is not None}
        files.add(self.project.spec.training.features.partition(":")[0])
        code = {
            name: sha256((self.project.folder / name).read_bytes())
            for name in sorted(files)
            if (self.project.folder / name).is_file()
        }
        sources: list[Digest | None] = [
            self.built_ins.work("ingest", one.parameters, {}).key
            for one in planned
            if one.step.run == "ingest"
        ]
        return [self.project.digest, code, sources]


def parse_value(text: str) -> Value:
    """What a word of the command line means: true or false, a number, or itself.

    Example:
        >>> parse_value("0.5"), parse_value("linear"), parse_value("true")
        (0.5, 'linear', True)
    """
    if text.lower() in {"true", "false"}:
        return text.lower() == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _takes(one: _Planned) -> tuple[str, ...]:
    if one.function is None:
        return PARAMETERS.get(one.step.run, ())
    names = inspect.signature(one.function).parameters
    return tuple(name for name in names if name not in one.step.needs)


def _accepted(function: Callable[..., Any], upstream: Mapping[str, Any]) -> dict[str, Any]:
    """The upstream results that the function has an argument for."""
    names = inspect.signature(function).parameters
    return {name: result for name, result in upstream.items() if name in names}


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _called(one: _Planned, function: Callable[..., Any], bound: inspect.BoundArguments) -> Any:
    try:
        return function(*bound.args, **bound.kwargs)
    except MainspringError:
        raise
    except Exception as error:  # the user's code may raise anything; it is shown with its line
        own = inspect.getsourcefile(function)
        lines = [f for f in traceback.extract_tb(error.__traceback__) if f.filename == own]
        where = f", line {lines[-1].lineno}" if lines else ""
        raise Conflict(
            "pipelines.step_failed",
            f"The step {one.name!r} failed ({one.step.run}{where}): "
            f"{type(error).__name__}: {error}",
            hint="Fix it and run the same command: what was done before it is kept.",
            step=one.name,
        ) from error
