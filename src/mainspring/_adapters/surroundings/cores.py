"""How many cores this process may really use: what it may run on, and what its cgroups grant it.

A container with two of sixty-four cores sees sixty-four. As many threads as that fight for two, and
each is stopped by the kernel for most of every tenth of a second.

Source: Linux, Documentation/admin-guide/cgroup-v2.rst (cpu.max) and scheduler/sched-bwc.rst
(cpu.cfs_quota_us); cgroups(7) for /proc/self/cgroup.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final

_PROCESS: Final = "proc/self/cgroup"
_GROUPS: Final = "sys/fs/cgroup"
Quota = Callable[[Path], float | None]


def usable_cores(root: Path = Path("/"), affinity: int | None = None) -> int:
    """Whole cores that this process may use, one at least.

    ``root`` holds ``proc`` and ``sys``; ``affinity`` is how many the scheduler lets it run on, as
    it is when absent.
    """
    return cores_of(_affinity() if affinity is None else affinity, quotas(root))


def cores_of(affinity: int, granted: Iterable[float]) -> int:
    """The whole cores within every limit, one at least.

    Example:
        >>> cores_of(8, [2.5, 4.0]), cores_of(8, []), cores_of(8, [0.5])
        (2, 8, 1)
    """
    return max(1, math.floor(min([affinity, *granted])))


def quotas(root: Path) -> Iterator[float]:
    """What each cgroup around the process grants it, in cores; those without a limit are left out."""
    for controllers, path in _memberships(root / _PROCESS):
        if controllers == "":
            yield from _upward(root / _GROUPS, path, _quota_v2)
            yield from _upward(root / _GROUPS / "unified", path, _quota_v2)
        elif "cpu" in controllers.split(","):
            # The hierarchy is mounted by its full name, and often by a link for each part.
            for name in dict.fromkeys((controllers, "cpu")):
                yield from _upward(root / _GROUPS / name, path, _quota_v1)


def _affinity() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _memberships(file: Path) -> list[tuple[str, str]]:
    """The controllers of each hierarchy ("" is version 2), and the process's place in it."""
    found = []
    for line in _text(file).splitlines():
        _, colon, rest = line.partition(":")
        controllers, colon, path = rest.partition(":")
        if colon:
            found.append((controllers, path))
    return found


def _upward(mount: Path, path: str, quota: Quota) -> Iterator[float]:
    """The quotas from the process's own group up to the mount.

    In a container the path may be that of the host, which is not there: then only its upper part
    counts, and at the least the mount itself, which is the container's own group.
    """
    parts = [part for part in path.split("/") if part not in ("", "..")]
    for length in range(len(parts), -1, -1):
        found = quota(mount.joinpath(*parts[:length]))
        if found is not None:
            yield found


def _quota_v2(folder: Path) -> float | None:
    words = _text(folder / "cpu.max").split()
    return _ratio(*words) if len(words) == 2 else None  # noqa: PLR2004 - quota and period


def _quota_v1(folder: Path) -> float | None:
    quota, period = (_text(folder / f"cpu.cfs_{name}_us").strip() for name in ("quota", "period"))
    return _ratio(quota, period)


def _ratio(quota: str, period: str) -> float | None:
    # "max" and -1 stand for no limit.
    if not (quota.isdigit() and period.isdigit()) or not int(period) or not int(quota):
        return None
    return int(quota) / int(period)


def _text(file: Path) -> str:
    try:
        return file.read_text("ascii", "replace")
    except OSError:
        return ""
