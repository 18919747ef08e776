"""Installs what 'make test-services' tests against, or says what is missing and how to get it.

Programs come from Debian's packages, which only root can install; clients that are no part of the
locked test environment are put beside it with uv.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

PROGRAM_FOLDERS = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
SECONDS = 1200


def has(program: str) -> Callable[[], bool]:
    """Whether a program is there."""
    return lambda: shutil.which(program, path=PROGRAM_FOLDERS) is not None


PACKAGES: dict[str, Callable[[], bool]] = {
    "buildah": has("buildah"),
    "chromium": has("chromium"),
    "debootstrap": has("debootstrap"),
    "golang-go": has("go"),
    "golang-github-masterminds-sprig-dev": lambda: Path(
        "/usr/share/gocode/src/github.com/Masterminds/sprig"
    ).exists(),
    "golang-gopkg-yaml.v3-dev": lambda: Path("/usr/share/gocode/src/gopkg.in/yaml.v3").exists(),
    "e2fsprogs": has("mkfs.ext4"),
    "mount": has("mount"),
    "postgresql": lambda: any(Path("/usr/lib/postgresql").glob("*/bin/initdb")),
    "strace": has("strace"),
    "util-linux": has("setpriv"),
}
CLIENTS = {"tritonclient": "tritonclient[http,grpc]>=2.60,<3"}


def missing_packages() -> list[str]:
    """The Debian packages whose programs are not there."""
    return [name for name, there in PACKAGES.items() if not there()]


def install_packages(names: list[str]) -> str:
    """Installs Debian packages; what keeps it from doing so, in a sentence."""
    command = f"apt-get install {' '.join(names)}"
    if shutil.which("apt-get") is None:
        return f"Missing: {', '.join(names)}. There is no apt-get here: install them by hand."
    if os.geteuid() != 0:
        return f"Missing: {', '.join(names)}. Only root can install them: run '{command}' as root."
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    update = ["apt-get", "update", "-q"]
    install = ["apt-get", "install", "-qy", *names]
    for words in (update, install):
        done = subprocess.run(words, check=False, env=quiet, timeout=SECONDS)
        if done.returncode:
            return f"'{' '.join(words)}' failed: {', '.join(names)} could not be installed."
    left = missing_packages()
    return f"Installed, and still not found: {', '.join(left)}." if left else ""


def install_clients() -> str:
    """Installs client libraries beside the test environment; what kept it from doing so."""
    wanted = [text for name, text in CLIENTS.items() if importlib.util.find_spec(name) is None]
    if not wanted:
        return ""
    command = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--python", sys.executable]
    done = subprocess.run([*command, *wanted], check=False, timeout=SECONDS)
    return f"Cannot be installed: {', '.join(wanted)}." if done.returncode else ""


def main() -> int:
    """0 when everything is there; 1, with what to do, when something is missing."""
    absent = missing_packages()
    trouble = (install_packages(absent) if absent else "") or install_clients()
    if trouble:
        print(f"mainspring: {trouble}", file=sys.stderr)
        return 1
    print(f"Here: {', '.join([*PACKAGES, *CLIENTS])}.")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
