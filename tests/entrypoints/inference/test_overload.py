"""Ten times what a gateway can do, with huge and malformed bodies among it.

The gateway has one core and the load the other, where there are two. On a machine that others use
as well the clock tells more of them than of us. So goodput is compared both by the clock and per
second of processor time that the gateway got: one of them must keep 80 % of the peak. A gateway
that wastes its time on refusals fails both; one that stands idle meanwhile fails by the clock, of
which half must be kept in any case. Peak and flood are measured in turns; medians are compared.
"""

from __future__ import annotations

import base64
import gzip
import json
import os
import statistics
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import pytest
from paced_load import Done, PacedLoad, Plan
from test_releases import champion
from test_survival import booster, resident_bytes

ROWS = 100
RECOVERY_SECONDS = 10
MEASUREMENTS = 3
MOST_BYTES = 700 << 20
_CLOSED_RATE = 20_000  # beyond any gateway: each connection is asked as soon as it is free


def body(rows: int) -> str:
    kinds = (("miles", "FP64", 1.5), ("wind", "FP64", 0.5), ("carrier", "BYTES", "AA"))
    return json.dumps(
        {
            "inputs": [
                {"name": name, "shape": [rows], "datatype": kind, "data": [value] * rows}
                for name, kind, value in kinds
            ]
        }
    )


def packed(data: bytes, headers: str = "") -> tuple[str, str]:
    return base64.b64encode(data).decode(), headers


BAD = [
    packed(b"{" * 5000),
    packed(b"[" * 100_000),
    packed(b"\0" * 3_000_000),
    packed(body(300_000).encode()[:-1]),
    packed(body(200_000).replace("miles", "height").encode()),
    packed(gzip.compress(bytes(64 << 20)), "Content-Encoding: gzip\r\n"),
    packed(gzip.compress(body(1_000_000).encode())[:-9], "Content-Encoding: gzip\r\n"),
    packed(b"{}"),
]


class Measured:
    """What a block cost the gateway: processor time of all its threads."""

    def __init__(self, pid: int) -> None:
        self._pid = pid

    def _now(self) -> float:
        fields = Path(f"/proc/{self._pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def __enter__(self) -> Self:
        self._before = self._now()
        return self

    def __exit__(self, *_: object) -> None:
        self.cpu_seconds = self._now() - self._before


def pinned(gateway) -> int | None:
    """Gives the gateway a core of its own; the other one, for the load."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        return None
    for thread in Path(f"/proc/{gateway.process.pid}/task").iterdir():
        os.sched_setaffinity(int(thread.name), {cores[0]})
    return cores[1]


def run(gateway, plan: Plan) -> tuple[Done, float]:
    """What came of a load, and the good answers per second of the gateway's processor."""
    with Measured(gateway.process.pid) as measured, PacedLoad(plan) as load:
        done = load.finish()
    return done, len(done.answered) / measured.cpu_seconds


@dataclass(frozen=True)
class Figures:
    """What one measurement says, beside the peak around it."""

    peak: float
    by_clock: float
    by_processor: float
    afterwards: float
    grown_bytes: int

    @property
    def hold(self) -> bool:
        """Whether enough was answered during the flood, and again after it."""
        kept = max(self.by_clock, self.by_processor) >= 0.8 and self.by_clock >= 0.5
        return kept and self.afterwards >= 0.8


def measure(gateway, port: int, cpu: int | None, connections: int, seconds: int) -> Figures:
    """Peaks and floods in turns. What must hold whatever the machine does is asserted here."""
    good = [body(ROWS)]
    calm = Plan(port, rate=_CLOSED_RATE, seconds=3, good=good, connections=16, cpu=cpu)
    run(gateway, calm)
    before = resident_bytes(gateway)
    peaks, floods = [], []
    for _ in range(3 if seconds < 10 else 1):
        peak, per_cpu = run(gateway, calm)
        rate = len(peak.answered) / peak.seconds
        peaks.append((rate, per_cpu))
        storm = Plan(
            port, rate=10 * rate, seconds=seconds, good=good, bad=BAD, bad_share=0.02, connections=connections, cpu=cpu
        )  # fmt: skip
        done, under = run(gateway, storm)
        floods.append((done.per_second(1, done.seconds) / rate, under / per_cpu))
        assert done.due / done.seconds >= 9 * rate
        assert set(done.statuses) <= {"200", "429", "503"}, done.statuses
        assert set(done.bad_statuses) <= {"400", "413", "429", "503"}, done.bad_statuses
        assert done.bad_statuses.get("400", 0) > 0
        assert done.retry_after_missing == 0
    grown = highest_bytes(gateway) - before
    ended, usual = time.monotonic(), statistics.median(one for _, one in peaks)
    again, after = run(gateway, calm)
    while after < 0.8 * usual and time.monotonic() - ended < RECOVERY_SECONDS:
        again, after = run(gateway, calm)
    assert set(again.statuses) <= {"200", "503"}
    return Figures(
        peak=statistics.median(rate for rate, _ in peaks),
        by_clock=statistics.median(wall for wall, _ in floods),
        by_processor=statistics.median(cost for _, cost in floods),
        afterwards=after / usual,
        grown_bytes=grown,
    )


@pytest.mark.slow
@pytest.mark.parametrize(("connections", "seconds"), [(512, 4), (4000, 12)])
def test_ten_times_capacity(patient_gateway, connections, seconds):
    """At least 80 % of the peak is still answered, memory is bounded, and soon all is as before.

    Every refusal is a 4xx, or a 503 that says when to come again. What is due while all connections
    wait for an answer is not sent: with few, most wait before the gateway; with many, most of what
    comes waits in it. A machine that becomes slower between peak and flood looks like a gateway
    that loses: up to three measurements are made, and one must hold. Memory must in all.
    """
    patient_gateway.deploy("late", champion(booster(patient_gateway, 1), "1"))
    port, cpu = int(patient_gateway.url.rpartition(":")[2]), pinned(patient_gateway)
    seen: list[Figures] = []
    while len(seen) < MEASUREMENTS and not (seen and seen[-1].hold):
        seen.append(measure(patient_gateway, port, cpu, connections, seconds))
        print(seen[-1])  # noqa: T201 - the figures, shown with a failure
        assert seen[-1].grown_bytes < MOST_BYTES
    assert seen[-1].hold, seen


def highest_bytes(gateway) -> int:
    lines = Path(f"/proc/{gateway.process.pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM:")).split()[1]) * 1024
