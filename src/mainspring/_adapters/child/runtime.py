"""The runtimes ``custom`` and ``mlflow``: off until a setting turns each on.

``custom`` runs a class whose source lies in the package (so what was reviewed is what runs):
``custom.json`` names file and class; it is made with the package's folder and the signature, and
its ``predict`` takes a matrix. ``mlflow`` hands an MLflow model's folder to the MLflow of another
environment. Neither is opened in this process.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from mainspring._adapters.child.process import ANSWER_SECONDS, SCRIPT, Child
from mainspring.core.errors import Denied
from mainspring.core.schema import Signature
from mainspring.registry.plan import Plan
from mainspring.serving.refusals import unreadable

CUSTOM_FILE: Final = "custom.json"
MLFLOW_FILE: Final = "MLmodel"


class _Custom(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    file: str
    name: str = msgspec.field(name="class")


class CustomRuntime:
    """Runs a class of a project's own. ``allowed`` is the setting ``custom_code``."""

    name = "custom"
    steady = False

    def __init__(self, *, allowed: bool = False, answer_seconds: float = ANSWER_SECONDS) -> None:
        self._allowed = allowed
        self._seconds = answer_seconds

    def load(
        self,
        files: Mapping[str, bytes],
        signature: Signature,
        plan: Plan | None = None,  # noqa: ARG002 - the setting decides, not the package
        *,
        room_bytes: int | None = None,
    ) -> Child:
        """The model in its process. Errors: ``serving.code_not_allowed``, and those of loading."""
        if not self._allowed:
            raise _not_allowed("code of its own", "custom_code = true")
        try:
            said = msgspec.json.decode(files.get(CUSTOM_FILE, b""), type=_Custom)
        except msgspec.MsgspecError as error:
            raise unreadable(CUSTOM_FILE, str(error)) from error
        if said.file not in files or not said.file.endswith(".py"):
            raise unreadable(CUSTOM_FILE, f"{said.file[:80]!r} is no source in the package")
        command = [sys.executable, "-I", str(SCRIPT), "custom"]
        return Child(command, files, signature, self._seconds, room_bytes=room_bytes)


class MlflowRuntime:
    """Runs an MLflow model by the Python that the setting ``mlflow_python`` names."""

    name = "mlflow"
    steady = False

    def __init__(self, python: str = "", *, answer_seconds: float = ANSWER_SECONDS) -> None:
        self._python = python
        self._seconds = answer_seconds

    def load(
        self,
        files: Mapping[str, bytes],
        signature: Signature,
        plan: Plan | None = None,  # noqa: ARG002 - the setting decides, not the package
        *,
        room_bytes: int | None = None,
    ) -> Child:
        """The model in its process. Errors: ``serving.code_not_allowed``, and those of loading."""
        if not self._python:
            raise _not_allowed("an MLflow package", "mlflow_python = PYTHON")
        if MLFLOW_FILE not in files:
            raise unreadable(MLFLOW_FILE, "it is not in the package")
        if not Path(self._python).is_file():
            raise unreadable(MLFLOW_FILE, f"there is no Python at {self._python[:200]!r}")
        command = [self._python, "-I", str(SCRIPT), "mlflow"]
        return Child(command, files, signature, self._seconds, room_bytes=room_bytes)


def _not_allowed(what: str, setting: str) -> Denied:
    return Denied(
        "serving.code_not_allowed",
        f"The package holds {what}, which runs only where it is allowed.",
        hint=f"Review it, then set {setting} for the process that serves it.",
    )
