"""The report of a replay as one HTML file that needs nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any, Final

from mainspring.projects.report.style import STYLE
from mainspring.projects.report.svg import Mark, Series, bar_chart, line_chart, three_digits, whole
from mainspring.projects.summary import Summary

_SHORT: Final = 14  # characters that are never broken over two lines


def render(summary: Summary) -> str:
    """The page. Text of the project is escaped; there is no script."""
    parts = [
        f"<h1>{escape(summary.title)}</h1>",
        f'<p class="lead">{_lead(summary)}</p>',
        _tiles(summary),
        "<h2>Did retraining pay?</h2>",
        _months_charts(summary),
        _months_table(summary),
        "<h2>Week by week</h2>",
        _windows_charts(summary),
        "<h2>What was decided, and why</h2>",
        _decisions(summary),
        _versions(summary),
        "<h2>The data</h2>",
        _quality(summary),
        "<h2>How to trust these numbers</h2>",
        _trust(summary),
    ]
    return (
        "<!doctype html><html lang='en'><head><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width, initial-scale=1'>"
        f"<title>{escape(summary.title)}</title><style>{STYLE}</style></head>"
        f"<body><main>{''.join(parts)}</main></body></html>\n"
    )


def _lead(summary: Summary) -> str:
    frozen, champion = (
        mean(m.frozen for m in summary.months),
        mean(m.champion for m in summary.months),
    )
    if frozen is None or champion is None:
        return "No month has enough labels to judge yet."
    saved = (mean(m.frozen_cost_per_1000 for m in summary.months) or 0.0) - (
        mean(m.champion_cost_per_1000 for m in summary.months) or 0.0
    )
    verb = "saved" if saved >= 0 else "lost"
    return (
        f"Over {len(summary.months)} months of production the champion reached a mean "
        f"{escape(summary.metric)} of <b>{champion:.3f}</b>, the model that was never retrained "
        f"<b>{frozen:.3f}</b>. Deciding by the champion {verb} <b>{abs(saved):,.0f}</b> "
        f"{escape(summary.cost_unit)} per 1,000 rows."
    )


def _tiles(summary: Summary) -> str:
    promoted = sum(v.status in {"champion", "replaced"} for v in summary.versions) - 1
    refused = sum(v.status in {"rejected", "withdrawn", "rolled back"} for v in summary.versions)
    tiles = [
        (f"{summary.predictions_served:,}", "predictions served"),
        (str(len(summary.versions)), "versions trained"),
        (str(max(promoted, 0)), "promotions"),
        (str(refused), "challengers refused"),
        (f"{summary.events:,}", f"events, chain {'intact' if summary.audit_ok else 'BROKEN'}"),
        (f"{summary.seconds:.0f} s", "for all of it"),
    ]
    cells = "".join(
        f"<div><b>{value}</b><span>{escape(name)}</span></div>" for value, name in tiles
    )
    return f'<div class="tiles">{cells}</div>'


def _months_charts(summary: Summary) -> str:
    labels = [line.month for line in summary.months]
    quality = [
        Series("champion", "first", [m.champion for m in summary.months]),
        Series("frozen", "second", [m.frozen for m in summary.months]),
    ]
    cost = [
        Series("champion", "first", [m.champion_cost_per_1000 for m in summary.months]),
        Series("frozen", "second", [m.frozen_cost_per_1000 for m in summary.months]),
    ]
    return line_chart(f"{summary.metric} by month", labels, quality) + bar_chart(
        f"Cost per 1,000 rows by month ({summary.cost_unit})", labels, cost, show=whole
    )


def _months_table(summary: Summary) -> str:
    headings = [
        "Month",
        "Rows",
        f"Frozen {summary.metric}",
        f"Champion {summary.metric}",
        "Version",
    ]
    headings += ["Frozen cost", "Champion cost", "Alerts", "Retrained", "Decision"]
    rows = [
        [
            m.month,
            m.rows,
            m.frozen,
            m.champion,
            m.champion_version,
            _rounded(m.frozen_cost_per_1000),
            _rounded(m.champion_cost_per_1000),
            m.alerts,
            m.retrained,
            m.decision,
        ]
        for m in summary.months
    ]
    return table(headings, rows)


def _windows_charts(summary: Summary) -> str:
    windows = summary.windows
    labels = [window.start[5:10] for window in windows]
    quality = [
        Series(
            "champion, with interval",
            "first",
            [w.champion for w in windows],
            [w.low for w in windows],
            [w.high for w in windows],
        ),
        Series("frozen", "second", [w.frozen for w in windows]),
    ]
    marks = _marks(summary)
    effect = [Series("largest distance of an input", "third", [w.effect for w in windows])]
    drifted = [
        Series("inputs in drift", "third", [float(w.drifted) for w in windows]),
        Series("quality checks broken", "first", [float(w.broken) for w in windows]),
    ]
    return (
        line_chart(f"Realised {summary.metric} by window", labels, quality, marks=marks)
        + line_chart("Drift: largest distance from the training data", labels, effect, zero=True)
        + bar_chart("Inputs in drift, and data-quality checks broken", labels, drifted, show=whole)
        + '<p class="quiet">Drift is shown to explain, not to decide: it says that inputs moved, '
        "not that the model got worse. Vertical lines mark decisions; hover for the reason.</p>"
    )


def _marks(summary: Summary) -> list[Mark]:
    marks = []
    for decision in summary.decisions:
        if decision.move not in {"promoted", "rejected", "withdrawn", "rolled_back"}:
            continue
        places = [i for i, w in enumerate(summary.windows) if w.start <= decision.time < w.end]
        style = "good" if decision.move == "promoted" else "bad"
        text = f"{decision.time[:10]} {decision.move}: {decision.reason}"
        marks += [Mark(place, text, style) for place in places]
    return marks


def _decisions(summary: Summary) -> str:
    rows = [
        [d.time[:10], d.challenge, d.move.replace("_", " "), d.reason] for d in summary.decisions
    ]
    return table(["Day", "Challenge", "To", "Reason"], rows)


def _versions(summary: Summary) -> str:
    rows = [[v.version, v.trained_until[:10], v.status, v.reason] for v in summary.versions]
    return table(["Version", "Trained on labels until", "Became", "Reason"], rows)


def _quality(summary: Summary) -> str:
    rows = [
        [q["dataset"], q["expectation"], q["checked"], q["failed"], q["verdict"]]
        for q in summary.quality
    ]
    counts = ", ".join(f"{count:,} {name}" for name, count in summary.rows.items())
    return f"<p>Rows: {escape(counts)}.</p>" + table(
        ["Dataset", "Expectation", "Checked", "Failed", "Verdict"], rows
    )


def _trust(summary: Summary) -> str:
    chain = "verified from first to last" if summary.audit_ok else "does NOT verify"
    return (
        "<ul>"
        "<li>Every prediction used only what was known at its own moment; rows were split by "
        "time, never at random.</li>"
        "<li>The frozen model is version 1, answering every row beside the champion, so both are "
        "judged on the same rows.</li>"
        f"<li>The record of {summary.events:,} chained events is {chain}; the lineage graph has "
        f"{summary.lineage_nodes:,} nodes.</li>"
        "<li>Rows without an outcome are predicted, but judge nobody.</li></ul>"
    )


def table(headings: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """An HTML table; numbers stand to the right."""
    head = "".join(f"<th>{escape(heading)}</th>" for heading in headings)
    body = "".join(f"<tr>{''.join(_cell(value) for value in row)}</tr>" for row in rows)
    if not body:
        return '<p class="quiet">None.</p>'
    return f'<div class="scroll"><table><tr>{head}</tr>{body}</table></div>'


def _cell(value: Any) -> str:
    if value is None:
        return '<td class="number">-</td>'
    if isinstance(value, float):
        return f'<td class="number">{three_digits(value)}</td>'
    if isinstance(value, int):
        return f'<td class="number">{value:,}</td>'
    text = str(value)
    kind = ' class="short"' if len(text) <= _SHORT else ""
    return f"<td{kind}>{escape(text)}</td>"


def _rounded(value: float | None) -> int | None:
    return None if value is None else round(value)


def mean(values: Iterable[float | None]) -> float | None:
    """The mean of the values that exist; None when there are none."""
    found = [value for value in values if value is not None]
    return sum(found) / len(found) if found else None
