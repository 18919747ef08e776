"""Every component once, beside its name: what further pages are put together from."""

from __future__ import annotations

from typing import Final

from mainspring._entrypoints._http import Request, Response, Route, json_response
from mainspring._entrypoints.ui.rendering import READ_RUNS, page
from mainspring.tracking.types import STATUSES

_STEPS: Final = 40
_TOKENS: Final = (
    "paper", "panel", "rule", "ink", "quiet", "accent", "good", "warn", "bad",
    "series-1", "series-2", "series-3", "series-4",
    "series-5", "series-6", "series-7", "series-8",
)  # fmt: skip


def _components(_request: Request) -> Response:
    return page("components.html", area="", statuses=STATUSES, tokens=_TOKENS)


def _curves(_request: Request) -> Response:
    """Two curves of no run, to look at the chart."""
    steps = list(range(_STEPS))
    falling = [1 / (1 + step / 6) for step in steps]
    runs = [
        {"id": "first", "values": falling},
        {"id": "second", "values": [0.15 + value * 0.8 for value in falling]},
    ]
    return json_response({"metric": "loss", "steps": steps, "runs": runs})


def component_routes() -> list[Route]:
    """The page of components and its sample curves."""
    return [
        Route("GET", "/components", _components, READ_RUNS, inline=True),
        Route("GET", "/components/series", _curves, READ_RUNS, inline=True),
    ]
