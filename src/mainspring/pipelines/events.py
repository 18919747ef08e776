"""The facts that pipelines announce."""

from __future__ import annotations

from mainspring.core.events import kind

STARTED = kind("pipelines.started", "An execution of a pipeline began.")
RESUMED = kind("pipelines.resumed", "An execution that had not ended was taken up again.")
STEP_DONE = kind("pipelines.step_done", "A step ended; its result is kept under its key.")
ENDED = kind("pipelines.ended", "An execution ended, well or not.")
