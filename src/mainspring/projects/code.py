"""The project's own Python: objects named as ``file.py:name``."""

from __future__ import annotations

import importlib.util
import sys
import traceback
from pathlib import Path
from typing import Any

from mainspring.core.digest import sha256
from mainspring.core.errors import Invalid, NotFound
from mainspring.core.names import did_you_mean


def load_object(folder: Path, name: str) -> Any:
    """The object that ``file.py:name`` names in a project's folder.

    The file runs in this process, as the user's own code does. Errors: ``project.bad_reference``,
    ``project.code_not_found``, ``project.code_failed`` with the line of the user's file.
    """
    file_name, _, attribute = name.partition(":")
    parts = Path(file_name).parts
    if (
        not attribute
        or not file_name.endswith(".py")
        or ".." in parts
        or Path(file_name).is_absolute()
    ):
        raise Invalid(
            "project.bad_reference",
            f"{name[:80]!r} does not name an object of a project's file.",
            hint="Write it as 'file.py:name', relative to mainspring.toml.",
            name=name[:80],
        )
    file = folder / file_name
    if not file.is_file():
        found = [path.name for path in folder.glob("*.py")]
        raise NotFound(
            "project.code_not_found",
            f"There is no file {file_name!r} in the project.",
            hint=did_you_mean(file_name, found),
            file=str(file),
        )
    module = _module(folder, file)
    if not hasattr(module, attribute):
        known = [word for word in vars(module) if not word.startswith("_")]
        raise NotFound(
            "project.code_not_found",
            f"{file_name} defines no {attribute!r}.",
            hint=did_you_mean(attribute, known),
            file=str(file),
        )
    return getattr(module, attribute)


def _module(folder: Path, file: Path) -> Any:
    """The file as a module; the same content is run once per process."""
    digest = sha256(file.read_bytes()).removeprefix("sha256:")[:16]
    name = f"mainspring_project_{digest}_{file.stem}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise Invalid("project.bad_reference", f"{file.name} is not a Python file.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    sys.path.insert(0, str(folder))
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # the user's code may raise anything; it is shown with its line
        del sys.modules[name]
        raise _failed(file, error) from error
    finally:
        sys.path.remove(str(folder))
    return module


def _failed(file: Path, error: Exception) -> Invalid:
    own = [f for f in traceback.extract_tb(error.__traceback__) if f.filename == str(file)]
    line = own[-1].lineno if own else getattr(error, "lineno", None)
    shown = f"line {line}: " if line else ""
    return Invalid(
        "project.code_failed",
        f"{file.name}, {shown}{type(error).__name__}: {error}",
        hint="Run the file with Python by itself to see all of it.",
        file=str(file),
        line=line,
    )
