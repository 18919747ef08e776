"""Endpoints as a project declares them; routes, variants and prediction records as served."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from mainspring.core.spec import Column, Duration, Section


class Endpoint(Section, frozen=True):
    """Where predictions are asked for."""

    name: Annotated[
        str, Meta(description="Its name in addresses.", pattern=r"^[a-z][a-z0-9_-]{0,127}$(?!\n)")
    ]
    entity: Annotated[
        tuple[Column, ...],
        Meta(description="Columns whose hash decides the variant; the key if absent."),
    ] = ()
    missing_entity: Annotated[
        Literal["as_trained", "error"],
        Meta(
            description="Looked up and not found: as a row without facts in training, or refused."
        ),
    ] = "as_trained"
    cost_of_miss: Annotated[
        Column | None, Meta(description="Column of a row with what missing it costs.")
    ] = None
    capacity: Annotated[
        Annotated[int, Meta(ge=0)] | None,
        Meta(description="Most rows that may be acted on in a capacity_window."),
    ] = None
    capacity_window: Annotated[Duration, Meta(description="The window of the capacity.")] = "1d"
    batch: Annotated[
        int, Meta(ge=1, le=100_000, description="Replay: most rows in one request.")
    ] = 256
