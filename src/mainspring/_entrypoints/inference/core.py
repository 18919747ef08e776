"""What every wire of a gateway answers with."""

from __future__ import annotations

from dataclasses import dataclass, field

from mainspring._entrypoints._http.doors import Doors
from mainspring._entrypoints.inference.answering import Answering
from mainspring._entrypoints.inference.control import Control
from mainspring._entrypoints.inference.decisions import Decisions
from mainspring._entrypoints.inference.fleet import Fleet
from mainspring._entrypoints.inference.metrics import Metrics
from mainspring._entrypoints.inference.siblings import Siblings
from mainspring._entrypoints.inference.telling import Telling


@dataclass(slots=True)
class Core:
    """The one core behind REST and gRPC. Event loop only; ``doors`` may be replaced."""

    fleet: Fleet
    answering: Answering
    control: Control
    metrics: Metrics
    doors: Doors
    decisions: Decisions | None = None
    siblings: Siblings | None = None
    telling: Telling = field(default_factory=Telling)
