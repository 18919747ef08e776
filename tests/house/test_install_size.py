"""What a plain installation weighs, and what works in it."""

import subprocess
import sys
from datetime import date, timedelta
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LIMIT_MB = 300.0
NEWEST = ROOT / "constraints" / "newest.txt"

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("install_size")]


def run(*command, cwd, exit_code=0):
    done = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == exit_code, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A fresh environment with the project and its default dependencies, as locked."""
    home = tmp_path_factory.mktemp("install")
    uv = Path(sys.executable).parent / "uv"
    run(uv, "venv", "--quiet", "--python", sys.executable, home / "venv", cwd=home)
    # A wheel of an earlier state of the source may be cached.
    install = [uv, "pip", "install", "--quiet", "--no-compile-bytecode"]
    install += ["--refresh-package", "mainspring"]
    run(*install, "--python", home / "venv/bin/python", "-c", NEWEST, ROOT, cwd=home)
    return home / "venv"


@pytest.fixture
def program(installed, tmp_path):
    """Runs a program of the installation in an empty folder; leaves no bytecode behind."""

    def run_program(name, *arguments, cwd=tmp_path, exit_code=0):
        command = ["env", "PYTHONDONTWRITEBYTECODE=1", "PYTHONPATH=", installed / "bin" / name]
        return run(*command, *arguments, cwd=cwd, exit_code=exit_code)

    return run_program


def test_a_default_installation_weighs_at_most_300_mb(installed):
    """The files of site-packages, without bytecode, make at most 300 million bytes."""
    [packages] = (installed / "lib").glob("python3.*/site-packages")
    sizes = {}
    for path in packages.rglob("*"):
        if path.is_file() and path.suffix != ".pyc":
            part = path.relative_to(packages).parts[0]
            sizes[part] = sizes.get(part, 0) + path.lstat().st_size / 1e6
    heaviest = sorted(sizes.items(), key=lambda item: -item[1])[:8]
    assert {"mainspring", "duckdb", "numpy"} <= sizes.keys()
    assert sum(sizes.values()) <= LIMIT_MB, f"{sum(sizes.values()):.1f} MB: {heaviest}"


def test_a_default_installation_starts(program):
    """The package can be imported and the command tells how it is used."""
    program("python", "-c", "import mainspring")
    assert "usage: mainspring" in program("mainspring", "--help")


def test_what_is_missing_names_its_extra(program, tmp_path):
    """Training by gradient boosting without LightGBM says what to install."""
    first = date(2024, 1, 1)
    lines = [f"{n},{first + timedelta(days=n)},{n % 7},{n % 2}" for n in range(400)]
    (tmp_path / "orders.csv").write_text("\n".join(["id,day,amount,returned", *lines]))
    start = ["init", "shop", "--csv", "orders.csv", "--target", "returned", "--yes"]
    program("mainspring", *start)
    command = ["run", "train", "--set", "learner=gradient_boosting"]
    said = program("mainspring", *command, cwd=tmp_path / "shop", exit_code=5)
    assert "training.extra_missing" in said
    assert "pip install 'mainspring[lightgbm]'" in said
