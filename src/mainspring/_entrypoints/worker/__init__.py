"""The worker: takes jobs from the queue, keeps the schedules, watches the endpoint."""

from __future__ import annotations

from mainspring._entrypoints.worker.loop import PIPELINE, Stop, Worked, Worker

__all__ = ["PIPELINE", "Stop", "Worked", "Worker"]
