"""The machine while a run goes on: processor, memory, disk and GPU, read now and then in a thread.

Names and units are those of MLflow's system metrics, so its pages and ours show them alike.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from mainspring.tracking.active import ActiveRun

EVERY_SECONDS: Final = 10.0
DENSE_SAMPLES: Final = 1000  # behind as many, only every second one is kept, then every fourth
_MEGA: Final = 1_000_000
_GPU_SECONDS: Final = 5.0
_GPU_FIELDS: Final = "index,utilization.gpu,memory.used,memory.total,power.draw"
_GPU_COLUMNS: Final = 5
Values = dict[str, float]


class SystemMetrics:
    """Watches runs by one thread for all of them; it ends with the last run.

    Concurrency: any thread may begin and end watching.
    """

    def __init__(self, every_seconds: float = EVERY_SECONDS) -> None:
        self._every_seconds = every_seconds
        self._runs: dict[int, tuple[ActiveRun, int]] = {}
        self._lock = threading.Lock()
        self._stop: threading.Event | None = None

    def __call__(self, run: ActiveRun) -> Callable[[], None]:
        """Begins to watch a run; what ends that."""
        with self._lock:
            self._runs[id(run)] = (run, 0)
            if self._stop is None:
                self._stop = threading.Event()
                threading.Thread(
                    target=self._work, args=(self._stop,), name="mainspring-system", daemon=True
                ).start()
        return lambda: self._leave(run)

    def _leave(self, run: ActiveRun) -> None:
        with self._lock:
            self._runs.pop(id(run), None)
            if not self._runs and self._stop is not None:
                self._stop.set()
                self._stop = None

    def _work(self, stop: threading.Event) -> None:
        machine = Machine()
        while not stop.wait(self._every_seconds):
            values = machine.read()
            with self._lock:
                for mark, (run, count) in self._runs.items():
                    self._runs[mark] = (run, count + 1)
                    if count % (1 << (count // DENSE_SAMPLES)) == 0:
                        run.sample(values, count)


class Machine:
    """Readings of this machine; shares of time are since the reading before."""

    def __init__(self) -> None:
        self._processor = _processor_ticks()
        self._own = (time.process_time(), time.monotonic())
        self._smi = shutil.which("nvidia-smi")

    def read(self) -> Values:
        """What can be read now; what cannot is left out."""
        found: Values = {}
        for part in (self._read_processor, _read_memory, _read_disk, self._read_gpus):
            with contextlib.suppress(OSError, ValueError, KeyError, subprocess.SubprocessError):
                found |= part()
        return {f"system/{name}": value for name, value in found.items()}

    def _read_processor(self) -> Values:
        before, self._processor = self._processor, _processor_ticks()
        idle, total = (now - then for now, then in zip(self._processor, before, strict=True))
        used, at = time.process_time(), time.monotonic()
        (used_before, at_before), self._own = self._own, (used, at)
        return {
            "cpu_utilization_percentage": 100 * (1 - idle / total) if total else 0.0,
            "process_cpu_percentage": 100 * (used - used_before) / max(at - at_before, 1e-9),
        }

    def _read_gpus(self) -> Values:
        if self._smi is None:
            return {}
        done = subprocess.run(  # noqa: S603 - a fixed program with fixed arguments, no shell
            [self._smi, f"--query-gpu={_GPU_FIELDS}", "--format=csv,noheader,nounits"],
            capture_output=True,
            text=True,
            timeout=_GPU_SECONDS,
            check=True,
            stdin=subprocess.DEVNULL,
        )
        return read_gpus(done.stdout)


def read_gpus(text: str) -> Values:
    """The values of ``nvidia-smi``'s lines; a field it does not know is left out.

    Example:
        >>> read_gpus("0, 37, 1000, 4000, [N/A]")
        {'gpu_0_utilization_percentage': 37.0, 'gpu_0_memory_usage_megabytes': 1048.576, \
'gpu_0_memory_usage_percentage': 25.0}
    """
    found: Values = {}
    for line in text.splitlines():
        parts = [part.strip() for part in line.split(",")]
        if len(parts) != _GPU_COLUMNS:
            continue
        numbers = [float(part) if part.replace(".", "", 1).isdigit() else None for part in parts]
        _, busy, used, total, watts = numbers
        name = f"gpu_{parts[0]}"
        if busy is not None:
            found[f"{name}_utilization_percentage"] = busy
        if used is not None and total:
            found[f"{name}_memory_usage_megabytes"] = used * 1024 * 1024 / _MEGA
            found[f"{name}_memory_usage_percentage"] = 100 * used / total
        if watts is not None:
            found[f"{name}_power_usage_watts"] = watts
    return found


def _processor_ticks() -> tuple[int, int]:
    """Idle and total ticks since the start. Source: proc(5), ``/proc/stat``."""
    try:
        with Path("/proc/stat").open() as file:
            ticks = [int(part) for part in file.readline().split()[1:9]]
    except OSError:
        return (0, 0)
    return (ticks[3] + ticks[4], sum(ticks))


def _read_memory() -> Values:
    with Path("/proc/meminfo").open() as file:
        lines = dict(line.split(":") for line in file)
    total, free = (int(lines[key].split()[0]) * 1024 for key in ("MemTotal", "MemAvailable"))
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return {
        "system_memory_usage_megabytes": (total - free) / _MEGA,
        "system_memory_usage_percentage": 100 * (total - free) / total,
        "process_memory_megabytes": pages * os.sysconf("SC_PAGE_SIZE") / _MEGA,
    }


def _read_disk() -> Values:
    found = shutil.disk_usage(Path.cwd())
    return {"disk_usage_percentage": 100 * found.used / found.total}
