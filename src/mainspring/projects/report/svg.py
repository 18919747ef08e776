"""Line and bar charts as inline SVG: pure functions from numbers to text.

Colours come from CSS variables of the page, so a chart follows light and dark. Every point has a
``<title>``, which browsers show on hover and screen readers read.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from html import escape
from typing import Final, NamedTuple

WIDTH: Final = 860
HEIGHT: Final = 280
LEFT, RIGHT, TOP, BOTTOM = 58, 34, 16, 46
_PLOT_WIDTH = WIDTH - LEFT - RIGHT
_PLOT_HEIGHT = HEIGHT - TOP - BOTTOM


class Series(NamedTuple):
    """One line: a value per label, None where there is none; optionally a band around it."""

    name: str
    style: str  # "first", "second", "third": a colour of the page
    values: Sequence[float | None]
    low: Sequence[float | None] = ()
    high: Sequence[float | None] = ()


class Mark(NamedTuple):
    """A moment worth seeing: a vertical line at a label's position, with its words."""

    at: int
    text: str
    style: str


Format = Callable[[float], str]


def three_digits(value: float) -> str:
    """A share or an AUC: three digits after the point."""
    return f"{value:.3f}"


def whole(value: float) -> str:
    """A count or a sum of money: no digits after the point."""
    return f"{value:,.0f}"


def nice_ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Round numbers that span [low, high]. Source: Heckbert (1990), Graphics Gems, p. 61."""
    span = max(high - low, abs(high) * 1e-6, 1e-9)
    raw = span / max(1, count - 1)
    magnitude = 10.0 ** math.floor(math.log10(raw))
    step = next(m * magnitude for m in (1, 2, 2.5, 5, 10) if m * magnitude >= raw * 0.999)
    first = math.floor(low / step + 1e-9)
    last = math.ceil(high / step - 1e-9)
    return [round(i * step, 12) for i in range(first, last + 1)]


def line_chart(
    title: str,
    labels: Sequence[str],
    series: Sequence[Series],
    *,
    show: Format = three_digits,
    marks: Sequence[Mark] = (),
    zero: bool = False,
) -> str:
    """A line chart. Shapes: each series has one value per label."""
    if not labels or not _values(series):
        return f'<p class="quiet">No values yet for {escape(title)}.</p>'
    ticks = _ticks(series, zero=zero)
    frame = _Frame(len(labels), ticks[0], ticks[-1])
    parts = [_grid(frame, ticks, show), _labels(frame, labels)]
    parts += [_mark(frame, mark) for mark in marks]
    parts += [_band(frame, one) for one in series if one.low]
    parts += [_line(frame, one, labels, show) for one in series]
    return _figure(title, parts, series)


def bar_chart(
    title: str, labels: Sequence[str], series: Sequence[Series], *, show: Format = whole
) -> str:
    """Grouped bars from zero."""
    if not labels or not _values(series):
        return f'<p class="quiet">No values yet for {escape(title)}.</p>'
    ticks = _ticks(series, zero=True)
    frame = _Frame(len(labels), ticks[0], ticks[-1], inset=True)
    width = frame.step * 0.7 / len(series)
    parts = [_grid(frame, ticks, show), _labels(frame, labels)]
    for place, one in enumerate(series):
        for i, value in enumerate(one.values):
            if value is None:
                continue
            x = frame.x(i) - frame.step * 0.35 + place * width
            y, base = frame.y(max(value, 0.0)), frame.y(min(value, 0.0))
            parts.append(
                f'<rect class="bar {one.style}" x="{x:.1f}" y="{y:.1f}" width="{width * 0.92:.1f}" '
                f'height="{max(base - y, 0.5):.1f}" rx="2">'
                f"<title>{escape(f'{labels[i]}, {one.name}: {show(value)}')}</title></rect>"
            )
    return _figure(title, parts, series)


class _Frame:
    """From a label's place and a value to the picture's coordinates."""

    def __init__(self, count: int, low: float, high: float, *, inset: bool = False) -> None:
        self.low, self.high = low, high
        self.step = _PLOT_WIDTH / (count if inset else max(1, count - 1))
        self._start = LEFT + (self.step / 2 if inset else 0 if count > 1 else _PLOT_WIDTH / 2)

    def x(self, place: float) -> float:
        return self._start + place * self.step

    def y(self, value: float) -> float:
        return TOP + _PLOT_HEIGHT * (1 - (value - self.low) / (self.high - self.low))


def _values(series: Sequence[Series]) -> list[float]:
    found = [v for one in series for v in (*one.values, *one.low, *one.high)]
    return [v for v in found if v is not None and math.isfinite(v)]


def _ticks(series: Sequence[Series], *, zero: bool) -> list[float]:
    values = _values(series)
    low, high = min(values), max(values)
    if zero:
        low, high = min(low, 0.0), max(high, 0.0)
    if low == high:
        low, high = (0.0, 1.0) if zero else (low - 0.5, high + 0.5)
    return nice_ticks(low, high)


def _grid(frame: _Frame, ticks: Sequence[float], show: Format) -> str:
    lines = []
    shown: set[str] = set()
    for tick in ticks:
        if show(tick) in shown:
            continue
        shown.add(show(tick))
        y = frame.y(tick)
        lines.append(
            f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
            f'<text class="tick" x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{show(tick)}</text>'
        )
    return "".join(lines)


def _labels(frame: _Frame, labels: Sequence[str]) -> str:
    every = max(1, math.ceil(len(labels) / 12))
    return "".join(
        f'<text class="tick" x="{frame.x(i):.1f}" y="{HEIGHT - BOTTOM + 20}" '
        f'text-anchor="middle">{escape(label)}</text>'
        for i, label in enumerate(labels)
        if i % every == 0
    )


def _mark(frame: _Frame, mark: Mark) -> str:
    x = frame.x(mark.at)
    return (
        f'<g class="mark {mark.style}"><line x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" '
        f'y2="{HEIGHT - BOTTOM}"/><circle cx="{x:.1f}" cy="{TOP}" r="4"/>'
        f"<title>{escape(mark.text)}</title></g>"
    )


def _band(frame: _Frame, one: Series) -> str:
    pairs = list(zip(one.low, one.high, strict=True))
    upper = [(frame.x(i), frame.y(h)) for i, (_, h) in enumerate(pairs) if h is not None]
    lower = [(frame.x(i), frame.y(v)) for i, (v, _) in enumerate(pairs) if v is not None]
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in upper + lower[::-1])
    return f'<polygon class="band {one.style}" points="{points}"/>' if points else ""


def _line(frame: _Frame, one: Series, labels: Sequence[str], show: Format) -> str:
    runs: list[list[str]] = [[]]
    dots = []
    for i, value in enumerate(one.values):
        if value is None or not math.isfinite(value):
            runs.append([])
            continue
        x, y = frame.x(i), frame.y(value)
        runs[-1].append(f"{x:.1f},{y:.1f}")
        dots.append(
            f'<circle class="dot {one.style}" cx="{x:.1f}" cy="{y:.1f}" r="3.2">'
            f"<title>{escape(f'{labels[i]}, {one.name}: {show(value)}')}</title></circle>"
        )
    lines = [
        f'<polyline class="line {one.style}" points="{" ".join(run)}"/>' for run in runs if run
    ]
    return "".join(lines + dots)


def _figure(title: str, parts: Sequence[str], series: Sequence[Series]) -> str:
    legend = "".join(f'<span class="key {one.style}"></span>{escape(one.name)} ' for one in series)
    return (
        f"<figure><figcaption>{escape(title)}<small>{legend}</small></figcaption>"
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">'
        f"{''.join(parts)}</svg></figure>"
    )
