"""A CSV file of orders."""

from __future__ import annotations

ROWS = 60


def orders(rows: int = ROWS, end: str = "\n") -> str:
    """A CSV file of orders; every third one is returned."""
    lines = ["order_id,ordered_at,country,amount,returned"]
    lines += [
        f"o{n:03},2024-01-{n % 28 + 1:02}T10:00:00Z,{'DE' if n % 2 else 'FR'},{n * 1.5 + 1},"
        f"{'no' if n % 3 else 'yes'}"
        for n in range(rows)
    ]
    return end.join(lines) + end
