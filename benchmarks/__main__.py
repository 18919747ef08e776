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
PEERS = {"tracking": "mlflow", "serving": "peers"}
SECONDS = 1800


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="tracking, serving; all if none")
    names = parser.parse_args().names or list(PEERS)
    if unknown := set(names) - set(PEERS):
        parser.error(f"there is no benchmark {min(unknown)!r}")
    machine()
    return max(run(name) for name in names)


def machine() -> None:
    """What the figures were taken on."""
    found = [f"{n} {metadata.version(n)}" for n in ("mainspring", "granian", "numpy", "lightgbm")]
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    print(f"{platform.platform()}, Python {platform.python_version()}, {os.cpu_count()} cores")
    print(f"{', '.join(found)}; load before: {load}\n")


def run(name: str) -> int:
    """One benchmark with its peer, or without it when the peer cannot be had."""
    command = [sys.executable, str(ROOT / "benchmarks" / f"{name}.py")]
    try:
        python = python_of(PEERS[name])
    except subprocess.CalledProcessError:
        print(f"{name}: its peers cannot be installed here; ours is shown alone.\n")
    else:
        home = str(python.parents[1])
        command += ["--mlflow", home] if name == "tracking" else ["--peer-python", str(python)]
    print(f"== {name}", flush=True)
    return subprocess.run(command, cwd=ROOT, timeout=SECONDS, check=False).returncode


if __name__ == "__main__":
    raise SystemExit(main())
