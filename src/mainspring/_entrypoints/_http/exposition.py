"""Figures as Prometheus reads them.

Source: Prometheus, "Exposition formats", the text format 0.0.4.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

EXPOSITION_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
Labels = Sequence[tuple[str, str]]


class Exposition:
    """Families and samples in order, each name beginning with ``mainspring_``."""

    def __init__(self) -> None:
        self._lines: list[str] = []

    def family(self, name: str, kind: str, help_text: str) -> None:
        full = f"mainspring_{name}"
        self._lines += (f"# HELP {full} {help_text}", f"# TYPE {full} {kind}")

    def sample(self, name: str, labels: Labels, value: float) -> None:
        said = ",".join(f'{label}="{_escape(text)}"' for label, text in labels)
        self._lines.append(
            f"mainspring_{name}{{{said}}} {value!r}" if said else f"mainspring_{name} {value:.17g}"
        )

    def histogram(self, name: str, labels: Labels, buckets: Iterable[tuple[float, int]]) -> None:
        """The buckets below infinity; ``buckets`` hold what fell in each, not the sums."""
        total = 0
        for edge, count in buckets:
            total += count
            self.sample(f"{name}_bucket", [*labels, ("le", f"{edge:g}")], total)

    def ends(self, name: str, labels: Labels, count: int, total: float) -> None:
        """What closes a histogram: the last bucket, the sum and the count."""
        self.sample(f"{name}_bucket", [*labels, ("le", "+Inf")], count)
        self.sample(f"{name}_sum", labels, total)
        self.sample(f"{name}_count", labels, count)

    def text(self) -> str:
        return "\n".join(self._lines) + "\n"


def _escape(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
