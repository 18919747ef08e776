"""What a gateway counts, as a whole: its own process, and its siblings behind the same port."""

from __future__ import annotations

import asyncio

import msgspec

from mainspring._entrypoints.inference.core import Core
from mainspring._entrypoints.inference.exposition import short
from mainspring._entrypoints.inference.lanes import Lane
from mainspring._entrypoints.inference.metrics import LaneCounts, Snapshot, merged


def snapshot(core: Core) -> Snapshot:
    """What this process counted and holds. Event loop only."""
    fleet, records = core.fleet, core.control.own_records()
    lanes, shadows = fleet.lanes(), fleet.shadow_lanes()
    core.metrics.forget(
        (name, v.name, v.version)
        for name, route in fleet.table.routes.items()
        for v in route.variants
    )
    counted = core.metrics.snapshot()
    counted.lanes = [_counts(one, "answers") for one in lanes]
    counted.lanes += [_counts(one, "shadow") for one in shadows]
    counted.leasts = {
        "gateway_ready": float(fleet.is_ready),
        "gateway_routes_revision": fleet.table.revision,
    }
    counted.sums |= {
        "gateway_processes": 1,
        "gateway_waiting_rows": sum(lane.waiting_rows for lane in lanes),
        "records_stored_rows_total": records["stored_rows"],
        "records_lost_rows_total": records["lost_rows"],
        "gateway_access_log_lost_lines_total": core.telling.lost_lines,
    }
    return counted


async def whole(core: Core) -> Snapshot:
    """What all processes behind the port counted and hold. Errors: ``serving.sibling_failed``."""
    own = snapshot(core)
    if core.siblings is None:
        return own
    loop = asyncio.get_running_loop()
    others = await loop.run_in_executor(None, core.siblings.ask, "snapshot")
    return merged([own, *(msgspec.convert(one, Snapshot) for one in others)])


def _counts(lane: Lane, role: str) -> LaneCounts:
    model = short(lane.model.digest)
    return LaneCounts(model, role, lane.batched_rows, lane.waiting_rows, list(lane.batch_sizes))
