"""What a run is made in, read from this process: code, command, environment, hardware."""

from __future__ import annotations

import getpass
import os
import platform
import shlex
import shutil
import subprocess
import sys
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import Final

import msgspec

from mainspring.tracking.active import Surroundings

_GIT_SECONDS: Final = 5.0
_MOST_DIFF_BYTES: Final = 10_000_000


def capture_surroundings(folder: Path | None = None) -> Surroundings:
    """Tags with commit, command and user; files with the uncommitted diff, packages and machine.

    Nothing here can end a run: without git, or outside a repository, the code is told by its path.
    """
    here = folder or Path.cwd()
    tags = {
        "mlflow.source.name": sys.argv[0] or "interactive",
        "mlflow.source.type": "LOCAL",
        "mainspring.command": shlex.join(sys.orig_argv)[:8000],
        "mainspring.python": platform.python_version(),
        "mlflow.user": _user(),
    }
    files = {"environment.txt": _packages(), "machine.json": _machine()}
    commit = _git(here, "rev-parse", "HEAD").decode().strip()
    if commit:
        diff = _git(here, "diff", "--no-ext-diff", "--no-color", "--no-textconv", "HEAD")
        tags["mlflow.source.git.commit"] = commit
        tags["mlflow.source.git.dirty"] = str(bool(diff)).lower()
        if diff and len(diff) <= _MOST_DIFF_BYTES:
            files["uncommitted.diff"] = diff
    return Surroundings({key: value for key, value in tags.items() if value}, files)


def _git(folder: Path, *arguments: str) -> bytes:
    program = shutil.which("git")
    if program is None:
        return b""
    try:
        done = subprocess.run(  # noqa: S603 - a fixed program with fixed arguments, no shell
            [program, "-C", str(folder), *arguments],
            capture_output=True,
            timeout=_GIT_SECONDS,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired):
        return b""
    return done.stdout if done.returncode == 0 else b""


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
            "memory_bytes": memory,
            "python": sys.version,
        }
    )
