"""``make bench``: every benchmark, one after the other, each beside its peer.

``python -m benchmarks [tracking] [serving]``. Peers live in environments of their own
(``scripts/environments.py``), made when they are missing; a peer that cannot be had is told
and left out. Nothing else should run on the machine meanwhile.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
from importlib import metadata
from pathlib import Path

from scripts.environments import python_of

ROOT = Path(__file__).parents[1]
NAMES = ("tracking", "serving")
SECONDS = 3600


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="tracking, serving; all if none")
    names = parser.parse_args().names or list(NAMES)
    if unknown := set(names) - set(NAMES):
        parser.error(f"there is no benchmark {min(unknown)!r}")
    machine()
    return max(run(name) for name in names)


def machine() -> None:
    """What the figures were taken on."""
    found = [f"{n} {metadata.version(n)}" for n in ("mainspring", "httptools", "numpy", "lightgbm")]
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    print(f"{platform.platform()}, Python {platform.python_version()}, {os.cpu_count()} cores")
    print(f"{', '.join(found)}; load before: {load}\n")


def run(name: str) -> int:
    """One benchmark; each makes its peers' environments and tells which cannot be had."""
    print(f"== {name}", flush=True)
    command = [sys.executable, str(ROOT / "benchmarks" / f"{name}.py")]
    if name == "tracking":
        command += ["--mlflow", str(python_of("mlflow").parents[1])]
    return subprocess.run(command, cwd=ROOT, timeout=SECONDS, check=False).returncode


if __name__ == "__main__":
    raise SystemExit(main())
