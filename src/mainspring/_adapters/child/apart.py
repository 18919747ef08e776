"""Another runtime's models, each in a process of its own; those that get copies are held back.

What such a model does to its process, it does to nobody else: it may hang, hold Python's lock, or
crash in native code; one that is held back may leak memory up to its room.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from mainspring._adapters.child.process import ANSWER_SECONDS, Child
from mainspring._adapters.child.runtime import CustomRuntime, MlflowRuntime
from mainspring.core.schema import Signature
from mainspring.registry.plan import Plan
from mainspring.serving.ports import Loaded, Runtime

PLAN_FILE: Final = "mainspring-plan.json"
ROOM_BYTES: Final = 1 << 30
# Longer than who answers is given: it only runs when nobody else wants to.
PATIENT_SECONDS: Final = 60.0


class ApartRuntime:
    """Another runtime's models, each in a process that ``command`` starts.

    The command is told the runtime's name and the folder of the package's files, with the signature
    and the plan among them, and answers as :mod:`mainspring._adapters.child.answering`.
    """

    steady = False

    def __init__(
        self,
        runtime: Runtime,
        command: Sequence[str],
        *,
        answer_seconds: float = ANSWER_SECONDS,
        room_bytes: int | None = None,
    ) -> None:
        self.name = runtime.name
        self._runtime = runtime
        self._command = command
        self._room_bytes = room_bytes
        self._seconds = answer_seconds

    def load(
        self, files: Mapping[str, bytes], signature: Signature, plan: Plan | None = None
    ) -> Loaded:
        """The model in its process. Errors: those of the runtime, and of starting."""
        if isinstance(self._runtime, CustomRuntime | MlflowRuntime):
            return self._runtime.load(files, signature, plan, room_bytes=self._room_bytes)
        with_plan = {**files, PLAN_FILE: msgspec.json.encode(plan)}
        return Child(
            [*self._command, self.name],
            with_plan,
            signature,
            self._seconds,
            room_bytes=self._room_bytes,
        )


class HeldBackRuntime(ApartRuntime):
    """The same for models that get copies: they run when nobody else wants to, in bounded memory."""

    def __init__(
        self, runtime: Runtime, command: Sequence[str], *, room_bytes: int = ROOM_BYTES
    ) -> None:
        super().__init__(runtime, command, answer_seconds=PATIENT_SECONDS, room_bytes=room_bytes)
