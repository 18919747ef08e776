"""A model card as Markdown that shows every recorded text literally."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from mainspring.registry.card import Card
from mainspring.registry.facts import Measured

# Every character that starts markup in Markdown or HTML, or ends a table cell.
_MARKUP = re.compile(r"([\\`*_{}\[\]<>()#+!|~&-])")


def card_markdown(card: Card) -> str:
    """The card as one Markdown document."""
    parts = [
        _head(card),
        _purpose(card),
        _metrics(card),
        _decision(card),
        _plan(card),
        _training(card),
        _record(card),
    ]
    return "\n".join(line for part in parts for line in part) + "\n"


def text(value: object) -> str:
    """A value as Markdown that renders as just these characters, on one line."""
    flat = " ".join(str(value).split())
    return _MARKUP.sub(r"\\\1", flat).replace("\\<", "&lt;").replace("\\>", "&gt;")


def _head(card: Card) -> list[str]:
    model = card.model
    lines = [f"# {text(model.address)}", ""]
    lines += [text(model.description), ""] if model.description else []
    status = model.status + (f": {model.reason}" if model.reason else "")
    rows = [
        ("Status", status),
        ("Registered", f"{model.registered} as {model.registered_as}"),
        ("Aliases", ", ".join(model.aliases) or "none"),
        ("Package", model.package),
        ("Signature", card.signature),
        *((f"Tag {tag}", value) for tag, value in model.tags.items()),
    ]
    return [*lines, *_table(("", ""), rows)]


def _purpose(card: Card) -> list[str]:
    purpose = card.purpose
    rows = [
        ("Objective", purpose.objective),
        *(("Question", question) for question in purpose.questions),
        ("Target", purpose.target),
        ("Predicted before", purpose.predict_before),
        ("KPI", purpose.kpi),
        *(("Out of scope", one) for one in purpose.out_of_scope),
        *(("Limit", one) for one in card.limits),
        *(("Not recorded", one) for one in card.open),
    ]
    return ["## Purpose and limits", "", *_table(("", ""), [row for row in rows if row[1]])]


def _metrics(card: Card) -> list[str]:
    lines = ["## Metrics", "", *_measured(card.metrics)]
    if card.slices:
        lines += ["## Slices", "", *_measured(card.slices)]
    if card.gates:
        rows = [
            (
                one.gate,
                "passed" if one.passed else "failed",
                number(one.value),
                one.required,
                one.why,
            )
            for one in card.gates
        ]
        lines += ["## Gates", "", *_table(("Gate", "Verdict", "Value", "Required", "Why"), rows)]
    return lines


def _measured(metrics: Sequence[Measured]) -> list[str]:
    rows = [
        (
            one.metric,
            one.group or one.reference or "model",
            one.split,
            number(one.value),
            f"{number(one.low)} to {number(one.high)}" if one.low is not None else "",
            "" if one.rows is None else one.rows,
        )
        for one in metrics
    ]
    return _table(("Metric", "Of", "Rows from", "Value", "Interval", "Rows"), rows)


def _decision(card: Card) -> list[str]:
    decision = card.decision
    if decision is None:
        return []
    rows = [
        ("Threshold", number(decision.threshold)),
        ("False negative", number(decision.false_negative)),
        ("False positive", number(decision.false_positive)),
        ("True positive", number(decision.true_positive)),
        ("True negative", number(decision.true_negative)),
    ]
    return ["## Decision", "", f"Costs in {text(decision.unit)}.", "", *_table(("", ""), rows)]


def _plan(card: Card) -> list[str]:
    plan = card.plan
    if plan is None:
        return []
    tried = [*plan.tried, *([plan.compiled] if plan.compiled else [])]
    rows = [
        (
            f"{one.way} ({one.runtime})",
            "taken" if one.accepted else "refused",
            one.why,
            one.sample_rows + one.boundary_rows,
            number(one.row_microseconds),
            number(one.batch_microseconds),
        )
        for one in tried
    ]
    heads = ("Form", "Verdict", "Why", "Rows", "One row, us", "1000 rows, us")
    lines = ["## Plan of execution", "", f"{text(plan.way)}: {text(plan.why)}.", ""]
    if plan.trusted:
        lines += [f"Its file may hold these types: {text(', '.join(plan.trusted))}.", ""]
    return [*lines, *_table(heads, rows)]


def _training(card: Card) -> list[str]:
    how = card.training
    rows = [
        ("Task", how.task),
        ("Learner", how.learner),
        ("Runtime", how.runtime),
        *((f"Parameter {name}", value) for name, value in how.parameters.items()),
        ("Seed", how.seed),
        ("Trained until", how.trained_until or ""),
        ("Run", how.run_id or ""),
        ("Calibration", how.calibration or "none"),
        ("Features", how.feature_digest),
        *((f"Code {name}", value) for name, value in how.code.items()),
    ]
    lines = ["## Training", "", *_table(("", ""), [row for row in rows if row[1] != ""])]
    inputs = [(one.name, one.type, one.categories or "") for one in card.inputs]
    lines += ["## Inputs", "", *_table(("Input", "Type", "Categories"), inputs)]
    used = [
        (one.ref, one.role, "" if one.rows is None else one.rows, one.since, one.until, one.licence)
        for one in card.data
    ]
    heads = ("Data", "Role", "Rows", "Since", "Until", "Licence")
    return [*lines, "## Data", "", *_table(heads, used)]


def _record(card: Card) -> list[str]:
    lines = ["## Record", "", *_table(("Used",), [(one,) for one in card.lineage])]
    changes = [
        (one.time, one.field, f"{one.before} to {one.after}", one.actor, one.why)
        for one in card.history
    ]
    lines += _table(("When", "What", "Change", "Who", "Why"), changes)
    environment = list(card.environment.items())
    return [*lines, "## Environment", "", *_table(("Package", "Version"), environment)]


def _table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    body = [f"| {' | '.join(text(cell) for cell in row)} |" for row in rows]
    if not body:
        return ["None recorded.", ""]
    return [f"| {' | '.join(heads)} |", f"|{' --- |' * len(heads)}", *body, ""]


def number(value: float | None) -> str:
    """A number as a reader wants it; the exact one stands in the JSON card."""
    return "" if value is None else f"{value:.6g}"
