"""Models in processes of their own: the runtimes that start them, and what those run."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

if TYPE_CHECKING:
    from mainspring.core.settings import Resolved
    from mainspring.serving.isolation import Places

_TOLD: Final = ("compiled", "trusted_types")
_BESIDE: Final = ("mainspring-plan.json", "signature.json")


def places(settings: Mapping[str, Resolved]) -> Places:
    """The runtimes of a gateway, for models in its process and in processes of their own."""
    from mainspring._adapters.child.apart import ApartRuntime, HeldBackRuntime
    from mainspring._bootstrap.runtimes import known_runtimes
    from mainspring.serving.isolation import Places

    # Isolated (-I): the process works in the package's folder, whose files must not be imported.
    root = str(Path(__file__).parents[2])
    code = (
        f"import sys; sys.path.append({root!r}); "
        "from mainspring._bootstrap.apart import main; sys.exit(main(sys.argv[1:]))"
    )
    words = [sys.executable, "-I", "-c", code, _said(settings)]
    here = known_runtimes(settings)
    return Places(
        here,
        {name: ApartRuntime(runtime, words) for name, runtime in here.items()},
        {name: HeldBackRuntime(runtime, words) for name, runtime in here.items()},
        everyone=bool(settings["isolate"].value),
    )


def main(arguments: list[str]) -> int:
    """Answers for the model of a package's folder until the parent closes the pipe."""
    from mainspring._adapters.child.answering import answer

    said, name, folder = arguments
    return answer(lambda: _load(said, name, Path(folder)))


def _load(said: str, name: str, folder: Path) -> Any:
    from mainspring._bootstrap.runtimes import known_runtimes
    from mainspring.core.schema import Signature
    from mainspring.core.settings import resolve
    from mainspring.registry.plan import Plan

    settings = resolve(msgspec.json.decode(said, type=dict[str, str]))
    files = {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and str(path.relative_to(folder)) not in _BESIDE
    }
    plan = msgspec.json.decode((folder / _BESIDE[0]).read_bytes(), type=Plan | None)
    signature = msgspec.json.decode((folder / _BESIDE[1]).read_bytes(), type=Signature)
    return known_runtimes(settings)[name].load(files, signature, plan)


def _said(settings: Mapping[str, Resolved]) -> str:
    """The settings that a runtime is made with, as the environment would say them."""
    told = {
        f"MAINSPRING_{name.upper()}": str(settings[name].value).lower()
        if isinstance(settings[name].value, bool)
        else str(settings[name].value)
        for name in _TOLD
        if settings[name].value
    }
    return msgspec.json.encode(told).decode()
