"""The code a run is made by: a commit with what differs from it, or the files beside the script."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

GIT_SECONDS: Final = 5.0
WALK_SECONDS: Final = 0.5
MOST_DIFF_BYTES: Final = 10_000_000
MOST_FILES: Final = 500
MOST_BYTES: Final = 5_000_000
_SUFFIXES: Final = frozenset({".py", ".toml", ".yaml", ".yml", ".sql", ".ipynb"})
_PASSED: Final = frozenset({"__pycache__", "node_modules", "site-packages", "venv", "env"})


def capture_code(folder: Path | None = None) -> tuple[dict[str, str], dict[str, bytes]]:
    """Tags and files that tell the code. Without git, or outside a repository, a snapshot."""
    here = folder or Path.cwd()
    commit = _git(here, "rev-parse", "HEAD").decode().strip()
    if not commit:
        root = folder or _script_folder()
        found = _zipped(root, _sources(root)) if root else b""
        return {}, {"code.zip": found} if found else {}
    diff = _git(here, "diff", "--no-ext-diff", "--no-color", "--no-textconv", "HEAD")
    new = _git(here, "ls-files", "--others", "--exclude-standard", "-z", "--full-name", ":/*.py")
    top = Path(_git(here, "rev-parse", "--show-toplevel").decode().strip() or here)
    untracked = _zipped(top, [top / name for name in new.decode().split("\0") if name])
    tags = {
        "mlflow.source.git.commit": commit,
        "mlflow.source.git.dirty": str(bool(diff or untracked)).lower(),
    }
    files = {"uncommitted.diff": diff if len(diff) <= MOST_DIFF_BYTES else b""}
    files["untracked.zip"] = untracked
    return tags, {name: data for name, data in files.items() if data}


def _script_folder() -> Path | None:
    """Where the program lies that was started; None for an interpreter."""
    script = Path(sys.argv[0] or "")
    return script.absolute().parent if script.suffix == ".py" and script.is_file() else None


def _sources(root: Path) -> Iterator[Path]:
    """Files of code below a folder, as far as they are found in a moment."""
    until = time.monotonic() + WALK_SECONDS
    for place, folders, names in os.walk(root):
        folders[:] = sorted(f for f in folders if f[:1] != "." and f not in _PASSED)
        for name in sorted(names):
            if Path(name).suffix in _SUFFIXES:
                yield Path(place) / name
        if time.monotonic() > until:
            return


def _zipped(root: Path, paths: Iterable[Path]) -> bytes:
    """Some files as a ZIP, as many as fit; empty without any."""
    buffer, count, size = io.BytesIO(), 0, 0
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in paths:
            try:
                data = path.read_bytes() if path.is_file() and not path.is_symlink() else b""
            except OSError:
                continue
            if not data or size + len(data) > MOST_BYTES or count >= MOST_FILES:
                continue
            archive.writestr(path.relative_to(root).as_posix(), data)
            count, size = count + 1, size + len(data)
    return buffer.getvalue() if count else b""


def _git(folder: Path, *arguments: str) -> bytes:
    program = shutil.which("git")
    if program is None:
        return b""
    try:
        done = subprocess.run(  # noqa: S603 - a fixed program with fixed arguments, no shell
            [program, "-C", str(folder), *arguments],
            capture_output=True,
            timeout=GIT_SECONDS,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired):
        return b""
    return done.stdout if done.returncode == 0 else b""
