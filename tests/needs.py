"""What a test needs and a machine may not have: one way to ask for it.

At home a test that misses something is skipped, with how to install it. On a build machine (CI is
set) it fails, since a test that is never run there keeps nothing. Only what the kernel refuses to
this process (mounting, tracing) cannot be installed: such a test is skipped there too, with the
kernel's words; the summary of the run lists it.
"""

from __future__ import annotations

import importlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import ModuleType
from typing import NoReturn

import pytest
from scripts.environments import python_of
from scripts.services import CLIENTS

REFUSED = "the kernel refuses"
PACKAGES = {
    "buildah": "buildah",
    "chromium": "chromium",
    "debootstrap": "debootstrap",
    "go": "golang-go",
    "initdb": "postgresql",
    "mkfs.ext4": "e2fsprogs",
    "mount": "mount",
    "setpriv": "util-linux",
    "strace": "strace",
}


def without(what: str, how: str) -> NoReturn:
    """Skips the test at home; fails it on a build machine."""
    text = f"{what} is missing; to install it: {how}"
    if os.environ.get("CI"):
        pytest.fail(text, pytrace=False)
    pytest.skip(text)


def refused(what: str, why: str) -> NoReturn:
    """Skips the test everywhere: no installation would help."""
    pytest.skip(f"{REFUSED} {what}: {' '.join(why.split())}")


def program(name: str) -> str:
    """The path of a program."""
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")
    if found is None:
        without(name, f"python scripts/services.py (or apt-get install {PACKAGES[name]})")
    return found


def postgres() -> Path:
    """The folder of PostgreSQL's programs, the newest installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return found[-1].parent if found else Path(program("initdb")).resolve().parent


def module(name: str) -> ModuleType:
    """A module of the test environment, or of a client beside it."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        beside = name.partition(".")[0] in CLIENTS
        without(name, "python scripts/services.py" if beside else "make test")


def environment(name: str) -> Path:
    """The Python of an environment with other people's software, made at the first use."""
    try:
        return python_of(name)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        without(f"the environment {name!r} ({error})", f"python scripts/environments.py {name}")


def tracing() -> str:
    """The path of strace, which may trace here."""
    path = program("strace")
    done = subprocess.run(
        [path, "-f", "-qq", "-o", "/dev/null", "true"], check=False, capture_output=True, text=True
    )
    if done.returncode:
        refused("to trace a process", done.stderr)
    return path


@contextmanager
def mounted(target: Path, *arguments: str) -> Iterator[Path]:
    """A folder with something mounted on it for as long as the context lasts."""
    target.mkdir(exist_ok=True)
    command = [program("mount"), *arguments, str(target)]
    if os.geteuid():
        refused("to mount", "only root may")
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        refused("to mount", done.stderr)
    try:
        yield target
    finally:
        subprocess.run(["umount", "--lazy", str(target)], check=True)


def tmpfs(target: Path, megabytes: int) -> AbstractContextManager[Path]:
    """A disk of so many megabytes."""
    return mounted(target, "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs")


def formatted(image: Path, megabytes: int) -> Path:
    """A file with an empty file system in it, to be mounted with ``-o loop``."""
    with image.open("wb") as file:
        file.truncate(megabytes << 20)
    subprocess.run([program("mkfs.ext4"), "-q", str(image)], check=True)
    return image


def strictly(report: pytest.TestReport | pytest.CollectReport) -> None:
    """On a build machine, turns a skip for any other reason than the kernel's into a failure."""
    if not report.skipped or hasattr(report, "wasxfail") or not os.environ.get("CI"):
        return
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    if REFUSED not in reason:
        report.outcome = "failed"
        report.longrepr = f"With CI set nothing may be skipped. {reason}"
