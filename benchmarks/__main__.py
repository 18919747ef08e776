"""``make bench``: every benchmark, one after the other, each beside its peer.

``python -m benchmarks [tracking] [serving]``. Peers live in environments of their own
(``.venv-mlflow``, ``.venv-peers``), made when they are missing; a peer that cannot be had is told
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

ROOT = Path(__file__).parents[1]
PEERS = {
    "tracking": (".venv-mlflow", ["mlflow==3.17.2"]),
    "serving": (".venv-peers", ["fastapi", "uvicorn[standard]", "lightgbm", "numpy"]),
}
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
    folder, packages = PEERS[name]
    have = environment(ROOT / folder, packages)
    command = [sys.executable, str(ROOT / "benchmarks" / f"{name}.py")]
    if name == "serving" and have:
        command += ["--peer-python", str(ROOT / folder / "bin" / "python")]
    if name == "tracking" and not have:
        print("tracking: left out, since its client is MLflow's own, which cannot be had here.\n")
        return 1
    print(f"== {name}", flush=True)
    return subprocess.run(command, cwd=ROOT, timeout=SECONDS, check=False).returncode


def environment(folder: Path, packages: list[str]) -> bool:
    """Whether the peer's environment is there, made now if it was not."""
    if (folder / "bin" / "python").exists():
        return True
    uv = [sys.executable, "-m", "uv"]
    made = subprocess.run([*uv, "venv", "--quiet", str(folder)], check=False).returncode == 0
    install = [*uv, "pip", "install", "--quiet", "--python", str(folder / "bin" / "python")]
    if made and subprocess.run([*install, *packages], check=False).returncode == 0:
        return True
    print(f"The peer {packages[0]} cannot be installed here; ours is shown alone.")
    return False


if __name__ == "__main__":
    raise SystemExit(main())
