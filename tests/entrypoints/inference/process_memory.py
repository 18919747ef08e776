"""What another process holds in memory, as the kernel tells it. Source: proc(5)."""

from __future__ import annotations

from pathlib import Path


def mapped(pid: int) -> set[str]:
    """The installed packages whose shared objects a process has mapped."""
    found = set()
    for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
        _, _, place = line.partition("/site-packages/")
        if place:
            found.add(place.split("/")[0].partition(".")[0])
    return found


def pss_megabytes(pid: int) -> float:
    """Its share of the memory: its own pages, and its part of those it shares."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("Pss:")).split()[1]) / 1024
