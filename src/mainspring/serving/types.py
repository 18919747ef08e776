"""Endpoints as a project declares them; routes, variants and prediction records as served."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from mainspring.core.spec import Column, Section


class Endpoint(Section, frozen=True):
    """Where predictions are asked for."""

    name: Annotated[
        str, Meta(description="Its name in addresses.", pattern=r"^[a-z][a-z0-9_-]{0,127}$(?!\n)")
    ]
    entity: Annotated[
        tuple[Column, ...],
        Meta(description="Columns whose hash decides the variant; the key if absent."),
    ] = ()
    batch: Annotated[
        int, Meta(ge=1, le=100_000, description="Replay: most rows in one request.")
    ] = 256
