"""What a run is made in, read from this process: code, command, environment, hardware."""

from __future__ import annotations

import getpass
import os
import platform
import shlex
import sys
from collections.abc import Collection
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import Final

import msgspec

from mainspring._adapters.surroundings.code import capture_code
from mainspring._adapters.surroundings.console import Console
from mainspring._adapters.surroundings.cores import usable_cores
from mainspring._adapters.surroundings.noting import Noting
from mainspring._adapters.surroundings.system import SystemMetrics
from mainspring.tracking.active import Surroundings, Watch

PARTS: Final = ("code", "environment", "machine", "system", "console")


def capture_process() -> Surroundings:
    """Tags with command and user: what is known at once."""
    tags = {
        "mlflow.source.name": sys.argv[0] or "interactive",
        "mlflow.source.type": "LOCAL",
        "mainspring.command": shlex.join(sys.orig_argv)[:8000],
        "mainspring.python": platform.python_version(),
        "mlflow.user": _user(),
    }
    return Surroundings({key: value for key, value in tags.items() if value})


def capture_surroundings(
    parts: Collection[str] = PARTS, folder: Path | None = None
) -> Surroundings:
    """Tags with the commit; files with the code, packages and machine.

    ``parts`` says which of code, environment and machine. Nothing here can end a run.
    """
    tags: dict[str, str] = {}
    files: dict[str, bytes] = {}
    if "environment" in parts:
        files["environment.txt"] = _packages()
    if "machine" in parts:
        files["machine.json"] = _machine()
    if "code" in parts:
        told, code = capture_code(folder)
        tags |= told
        files |= code
    return Surroundings(tags, files)


def watches(parts: Collection[str]) -> tuple[Watch, ...]:
    """What notes a run's surroundings while it goes on, as far as asked for."""
    found: list[Watch] = []
    if {"code", "environment", "machine"} & set(parts):
        found.append(Noting(lambda: capture_surroundings(parts)))
    if "system" in parts:
        found.append(SystemMetrics())
    if "console" in parts:
        found.append(Console())
    return tuple(found)


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return ""


@lru_cache(maxsize=1)
def _packages() -> bytes:
    found = {(dist.metadata["Name"] or "", dist.version) for dist in metadata.distributions()}
    return "".join(f"{name}=={version}\n" for name, version in sorted(found) if name).encode()


@lru_cache(maxsize=1)
def _machine() -> bytes:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return msgspec.json.encode(
        {
            "system": platform.platform(),
            "processor": platform.machine(),
            "cores": os.cpu_count(),
            "usable_cores": usable_cores(),
            "memory_bytes": memory,
            "python": sys.version,
        }
    )
