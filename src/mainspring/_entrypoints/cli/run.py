"""``mainspring run``: runs a pipeline of the project.

The pipelines stand under [pipelines.NAME.steps] of mainspring.toml. Without a declaration there
is 'train': ingest, features, train, deploy. What was done with the same inputs is not done again,
and a run that was cut off goes on with the same command.

  mainspring run train
  mainspring run train --set learner=logistic
  mainspring run train --dry-run
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any, Final

from mainspring._entrypoints.cli.opening import command, opened
from mainspring._entrypoints.cli.output import Output
from mainspring._entrypoints.cli.parser import common
from mainspring.core.errors import Invalid

if TYPE_CHECKING:
    from mainspring._bootstrap.workspace import Workspace
    from mainspring.projects.pipeline import PipelineRun, StepLine


def add(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``run``."""
    parser.add_argument("pipeline", metavar="PIPELINE", help="its name; 'train' is always there")
    parser.add_argument(
        "--set",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        dest="given",
        help="a parameter of every step that takes it, or of one: STEP.KEY=VALUE",
    )
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--dry-run", action="store_true", help="show what is cached; do nothing")
    how.add_argument("--queue", action="store_true", help="leave it to 'mainspring worker'")
    parser.add_argument("--no-cache", action="store_true", help="do every step anew")
    common(parser, run)


def run(arguments: argparse.Namespace, output: Output) -> int:
    """Runs, or previews, a pipeline."""
    from mainspring._bootstrap.projecting import pipelines_of

    given = _given(arguments.given)
    with opened(arguments) as workspace:
        pipelines = pipelines_of(workspace, output.note)
        if arguments.queue:
            return _enqueue(workspace, arguments, given, output)
        if arguments.dry_run:
            found = pipelines.preview(arguments.pipeline, given)
        else:
            found = pipelines.run(arguments.pipeline, given, cache=not arguments.no_cache)
    if output.as_json:
        output.document(found)
        return 0
    output.table(
        ("step", "state", "seconds", "what came of it"),
        [
            (one.step, one.state, one.seconds if one.state == "ran" else None, _told(one))
            for one in found.steps
        ],
    )
    if not arguments.dry_run:
        _say_next(found, arguments, output)
    return 0


def _enqueue(
    workspace: Workspace, arguments: argparse.Namespace, given: dict[str, str], output: Output
) -> int:
    """Leaves the run to a worker, once it is known that there is such a pipeline."""
    from mainspring._bootstrap.projecting import pipelines_of
    from mainspring._bootstrap.working import queue_of

    pipelines_of(workspace, output.note).preview(arguments.pipeline, given)
    job = {"pipeline": arguments.pipeline, "given": given, "cache": not arguments.no_cache}
    queue = queue_of(workspace)
    found = workspace.database.write(lambda tx: queue.enqueue(tx, "pipeline", job))
    if output.as_json:
        output.document({"job": found})
    output.line(f"Queued as job {found}")
    output.note(f"It is run by: {command(arguments, 'worker')}")
    return 0


def _given(words: list[str]) -> dict[str, str]:
    given: dict[str, str] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or not key.strip():
            raise Invalid(
                "cli.wrong_use",
                f"--set {word[:80]!r} sets nothing.",
                hint="Write KEY=VALUE, or STEP.KEY=VALUE.",
            )
        given[key.strip()] = value.strip()
    return given


def _told(line: StepLine) -> str:
    result: Any = line.result
    if not isinstance(result, dict):
        return "" if result is None else str(result)[:120]
    if line.run == "ingest":
        return ", ".join(f"{name}@{version}" for name, version in result.items())
    if line.run == "features":
        name = f"{result['feature_set']}@{result['version']}"
        return f"{name}: {result['rows']:,} rows, {result['columns']} features"
    if line.run == "train":
        metrics = ", ".join(
            f"{name} {value:.4g}" for name, value in sorted(result["metrics"].items())
        )
        alias = f" ({result['alias']})" if result["alias"] else ""
        return f"{result['model']}/{result['version']}{alias}; held back: {metrics}"
    if line.run == "deploy":
        state = "now" if result["changed"] else "as before"
        return f"{result['endpoint']} is answered by version {result['version']}, {state}"
    return ", ".join(f"{key}={value}" for key, value in result.items())[:120]


_NEXT: Final = {
    "Compare:": "models diff {model}@champion {model}@candidate",
    "Promote:": "models promote {model}@candidate",
    "Then:": "endpoints deploy {model}@champion",
}


def _say_next(found: PipelineRun, arguments: argparse.Namespace, output: Output) -> None:
    results = {one.run: one.result for one in found.steps}
    trained, deployed = results.get("train"), results.get("deploy")
    for one in (trained or {}).get("worse_than", ()):
        output.note(_worse(one))
    if trained and trained["alias"] == "candidate":
        _say_candidate(trained["model"], trained["version"], output)
        for what, words in _NEXT.items():
            told = words.format(model=trained["model"])
            output.note(f"{what:<10}{command(arguments, told)}")
    if deployed and not deployed["running"]:
        output.note(f"The gateway is not running; start it with: {command(arguments, 'gateway')}")


def _worse(advantage: dict[str, Any]) -> str:
    """A reference that did better than the model, said aloud: its gates may not have asked."""
    low, high = advantage["low"], advantage["high"]
    range_said = "" if low is None or high is None else f" (95 %: {low:+.2g} to {high:+.2g})"
    return (
        f"On the held-back rows the {advantage['over']} does better: {advantage['metric']} differs "
        f"by {advantage['difference']:+.2g}{range_said}. Try other features or parameters; a gate "
        f'with beats = "{advantage["over"]}" in mainspring.toml refuses such a model.'
    )


def _say_candidate(model: str, version: int, output: Output) -> None:
    output.note(
        f"{model}/{version} passed its gates and is the candidate; the champion still answers. "
        "Whether it is better is not claimed: the champion has learned from rows that the "
        "candidate was judged on."
    )
