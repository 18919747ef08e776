"""``mainspring problem``: why the model exists, and whether it does what it is for."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from mainspring._entrypoints.cli.opening import opened
from mainspring._entrypoints.cli.output import FAILED, Output, cell
from mainspring._entrypoints.cli.parser import verb, verbs
from mainspring.core.errors import NotFound

if TYPE_CHECKING:
    from mainspring._bootstrap.workspace import Workspace
    from mainspring.monitoring.windows import Window
    from mainspring.problem.types import Problem
    from mainspring.registry.card import Card

_CHAMPION = "champion"


def add(parser: argparse.ArgumentParser) -> None:
    """The verbs of ``problem``."""
    among = verbs(parser)
    verb(among, "show", run_show, "the problem definition, as mainspring.toml says it")
    verb(
        among,
        "check",
        run_check,
        "how the live model stands against each metric that it must reach",
        more="'evaluated' is what it reached before its release, 'live' what the newest window of\n"
        "watching found. Exit code 1 when a metric is not reached, 3 when nothing is live.",
    )


def run_show(arguments: argparse.Namespace, output: Output) -> int:
    """Shows the problem definition."""
    with opened(arguments) as workspace:
        project = workspace.project
    problem = project.spec.problem
    if output.as_json:
        output.document({"project": project.spec.project, "problem": problem})
        return 0
    output.fields(
        [
            ("Project", project.spec.project.name),
            ("", project.spec.project.description),
            ("Objective", problem.objective),
            *(("Question", question) for question in problem.questions),
            ("KPI", problem.kpi.name if problem.kpi else ""),
            ("Task", {"binary": "yes or no", "regression": "a number"}[problem.task]),
            ("Target", problem.target + (f" = {problem.target_sql}" if problem.target_sql else "")),
            ("Dataset", problem.dataset),
            ("Predicted", f"{problem.predict_before} before" if problem.predict_before else ""),
            ("Label known", problem.label_known_at or problem.label_delay or ""),
            ("Groups", problem.groups),
            *(("Out of scope", one) for one in problem.out_of_scope),
            ("Written in", project.where("problem")),
        ]
    )
    output.heading("Must be reached")
    output.table(
        ("metric", "in", "at least", "at most"),
        [(m.name, "all rows", m.at_least, m.at_most) for m in problem.metrics]
        + [(g.metric, f"each {g.group}", g.at_least, g.at_most) for g in problem.guardrails],
    )
    output.heading(f"Costs of a decision ({problem.costs.unit})")
    names = ["under", "over"]
    if problem.task == "binary":
        names = ["false_negative", "false_positive", "true_positive", "true_negative"]
    output.table(names, [[f"{getattr(problem.costs, name):g}" for name in names]])
    return 0


def run_check(arguments: argparse.Namespace, output: Output) -> int:
    """Holds the live model against the problem's metrics."""
    with opened(arguments) as workspace:
        problem = workspace.project.spec.problem
        name = model_name(workspace)
        card, window = _live(workspace, name)
    rows = [_judged(metric, card, window) for metric in problem.metrics]
    rows += _guarded(problem, card)
    failed = any(row["verdict"] == "missed" for row in rows)
    if output.as_json:
        output.document({"ok": not failed, "version": card.model.address, "metrics": rows})
        return FAILED if failed else 0
    since = f"; live window until {cell(window.end)}" if window else "; not watched live yet"
    output.line(f"{card.model.address} ({card.model.status}){since}")
    output.table(
        ("metric", "in", "required", "evaluated", "live", "verdict"),
        [
            (r["metric"], r["group"], r["required"], r["evaluated"], r["live"], r["verdict"])
            for r in rows
        ],
    )
    return FAILED if failed else 0


def model_name(workspace: Workspace) -> str:
    """The name under which the project's models are registered: that of its endpoint."""
    spec = workspace.project.spec
    return spec.endpoint.name if spec.endpoint else spec.project.name


def _live(workspace: Workspace, name: str) -> tuple[Card, Window | None]:
    registry = workspace.registry
    models = {model.name for model in registry.models.search().items}
    number = registry.aliases.get(name, _CHAMPION).version if name in models else None
    if number is None:
        raise NotFound(
            "problem.nothing_live",
            f"No version of {name!r} is champion, so nothing can be held against the problem.",
            hint="Train a first version with 'mainspring run', or promote one.",
            model=name,
        )
    windows = workspace.watch.windows(name)
    return registry.packages.card(name, number), windows[-1] if windows else None


def _judged(metric: Any, card: Card, window: Window | None) -> dict[str, Any]:
    evaluated = next(
        (m.value for m in card.metrics if m.metric == metric.name and not m.reference), None
    )
    estimate = window.metrics.get(metric.name) if window else None
    live = estimate.value if estimate else None
    required = _required(metric.at_least, metric.at_most)
    verdict = "reported"
    if required:
        value = live if live is not None else evaluated
        verdict = _verdict(value, metric.at_least, metric.at_most)
    return {
        "metric": metric.name,
        "group": "all rows",
        "required": required,
        "evaluated": evaluated,
        "live": live,
        "verdict": verdict,
    }


def _guarded(problem: Problem, card: Card) -> list[dict[str, Any]]:
    """Each group of each guardrail, by what was evaluated before the release."""
    return [
        {
            "metric": guard.metric,
            "group": one.group,
            "required": _required(guard.at_least, guard.at_most),
            "evaluated": one.value,
            "live": None,
            "verdict": _verdict(one.value, guard.at_least, guard.at_most),
        }
        for guard in problem.guardrails
        for one in card.slices
        if one.metric == guard.metric
        and one.group.partition("=")[0] == guard.group
        and (one.rows or 0) >= guard.min_rows
    ]


def _required(at_least: float | None, at_most: float | None) -> str:
    parts = [f"at least {at_least:g}"] if at_least is not None else []
    parts += [f"at most {at_most:g}"] if at_most is not None else []
    return ", ".join(parts)


def _verdict(value: float | None, at_least: float | None, at_most: float | None) -> str:
    if value is None:
        return "unknown"
    low = at_least is not None and value < at_least
    high = at_most is not None and value > at_most
    return "missed" if low or high else "reached"
