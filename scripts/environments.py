"""Environments of other people's software, which tests and benchmarks run beside ours.

Each lies in a folder ``.venv-NAME`` of its own, since such packages rarely import beside each other
or beside ours. It is made at the first use and is complete only with its mark: one that was cut off
while it was made is made again. ``python scripts/environments.py NAME...`` makes them beforehand.
"""

from __future__ import annotations

import fcntl
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
SECONDS = 1200
MODELS = ("lightgbm==4.7.0", "scikit-learn==1.9.1", "numpy==2.4.6", "pandas==3.1.1")
OURS = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["dependencies"]
PACKAGES = {
    "mlflow": ("mlflow==3.17.2", "scikit-learn", "lightgbm", "xgboost-cpu"),
    "kserve": ("kserve==0.21.0",),
    # What 'pip install mainspring[ray,lightgbm]' brings, and what our own tests run by.
    "ray-compute": (
        "ray==2.60.0",
        "lightgbm==4.7.0",
        "deltalake>=1.5,<2",
        "duckdb>=2,<3",
        "granian>=2.6,<3",
        "hypothesis>=6.140,<7",
        "jinja2>=3.1.6,<4",
        "msgspec>=0.22,<0.23",
        "numpy>=2.2,<3",
        "pytest>=8.4,<10",
    ),
    "mlflow-old": (
        "mlflow==3.2.0",
        "opentelemetry-sdk<1.36",
        "opentelemetry-exporter-otlp-proto-http<1.36",
        "scikit-learn<1.8",
        "lightgbm<4.7",
        "xgboost-cpu<3.1",
    ),
    "browser": ("playwright>=1.55,<2",),
    "fastapi": ("fastapi==0.165.0", "uvicorn[standard]==0.54.0", *MODELS),
    "mlserver": ("mlserver==1.7.1", "mlserver-lightgbm==1.7.1", "mlserver-sklearn==1.7.1", *MODELS),
    "litserve": ("litserve==0.2.19", *MODELS),
    "bentoml": ("bentoml==1.4.39", *MODELS),
    "ray": ("ray[serve]==2.60.0", *MODELS),
    # Our own tests run in it, so all that we need is there too.
    "torch": (
        "torch==2.13.0",
        "httpx>=0.28,<0.29",
        "hypothesis>=6.140,<7",
        "pytest>=8.4,<10",
        *OURS,
    ),
}
# Made by pip: where the index has a build for the processor alone (2.13.0+cpu), it is what pip
# takes, and where it has none, both take gigabytes of CUDA.
BY_PIP = frozenset({"torch"})


def python_of(name: str) -> Path:
    """The Python of that environment, made now if need be.

    Errors: ``subprocess.CalledProcessError`` when its packages cannot be had.
    Concurrency: whoever comes second waits for the first.
    """
    home = ROOT / f".venv-{name}"
    python, mark = home / "bin" / "python", home / ".complete"
    wanted = "\n".join(PACKAGES[name])
    with (ROOT / f".venv-{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not mark.exists() or mark.read_text() != wanted:
            shutil.rmtree(home, ignore_errors=True)
            if name in BY_PIP:
                run([sys.executable, "-m", "venv", str(home)])
                run([str(python), "-m", "pip", "install", "--quiet", *PACKAGES[name]])
            else:
                uv = [sys.executable, "-m", "uv"]
                run([*uv, "venv", "--quiet", "--python", sys.executable, str(home)])
                run([*uv, "pip", "install", "--quiet", "--python", str(python), *PACKAGES[name]])
            mark.write_text(wanted)
    return python


def run(command: list[str]) -> None:
    subprocess.run(command, check=True, timeout=SECONDS)


def main() -> int:
    """0 when each named environment is there; 1, with its name, when one cannot be had."""
    missing = []
    for name in sys.argv[1:] or PACKAGES:
        try:
            print(python_of(name))
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
            missing.append(name)
    if missing:
        print(f"Cannot be installed: {', '.join(missing)}.", file=sys.stderr)
    return 1 if missing else 0


if __name__ == "__main__":
    raise SystemExit(main())
