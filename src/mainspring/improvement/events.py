"""The facts that the loop announces."""

from __future__ import annotations

from mainspring.core.events import kind

REQUESTED = kind("improvement.requested", "An alert or the calendar asked for a challenger.")
IGNORED = kind("improvement.ignored", "A trigger fired, and a rule said not to retrain now.")
MOVED = kind(
    "improvement.moved", "A challenge went from one state to the next; the evidence is attached."
)
