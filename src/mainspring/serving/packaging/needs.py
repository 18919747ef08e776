"""What a packaged model must have installed: the very versions that it was packaged with."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from importlib import metadata
from typing import Final

from mainspring.core.errors import Invalid, Unavailable

# What answering takes at all; what a gateway takes beside it; what each runtime adds.
ANSWERING: Final = ("msgspec", "numpy")
GATEWAY: Final = (*ANSWERING, "httptools")
RUNTIMES: Final[Mapping[str, tuple[str, ...]]] = {
    "catboost": ("catboost",),
    "constant": (),
    "lightgbm": ("lightgbm",),
    "linear": (),
    "onnx": ("onnxruntime",),
    "skops": ("scikit-learn", "skops"),
    "torch": ("torch",),
    "xgboost": ("xgboost",),
}
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_BLOCK = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)==([^\s;\\]+)", re.MULTILINE)


def needs(runtime: str) -> tuple[str, ...]:
    """The libraries that models of a runtime need. Errors: ``serving.not_packable``."""
    found = RUNTIMES.get(runtime)
    if found is None:
        raise Invalid(
            "serving.not_packable",
            f"Models of the runtime {runtime!r} cannot leave the workspace yet.",
            hint=f"Those of {', '.join(sorted(RUNTIMES))} can.",
            runtime=runtime,
        )
    return found


def pinned(names: Iterable[str]) -> list[str]:
    """``NAME==VERSION`` of each library as it is installed here. Errors: ``serving.not_installed``.

    What a build adds for itself (``2.13.0+cpu``) is left out: indexes know the version, and any
    build of it will do.
    """
    return [f"{name}=={_version(name).partition('+')[0]}" for name in sorted(set(names))]


def closure(names: Iterable[str]) -> list[str]:
    """The libraries and all that they need in turn, as installed here, sorted.

    A requirement of an extra is left out; one with another condition (a platform, a Python) is
    taken when it is installed, since then its condition holds here.
    """
    found: dict[str, None] = {}
    waiting = [(name, True) for name in names]
    while waiting:
        name, must = waiting.pop()
        key = normal(name)
        if key in found or not (must or _installed(name)):
            continue
        _version(name)
        found[key] = None
        waiting += _required(name)
    return sorted(found)


def hashed(requirements: Iterable[str], lock: str) -> list[str]:
    """The requirements with the hashes that a lock file (``pip --require-hashes``) has for them.

    Errors: ``serving.not_locked`` when the lock names another version, or none.
    """
    starts = list(_BLOCK.finditer(lock))
    ends = [match.start() for match in starts[1:]] + [len(lock)]
    blocks = {
        f"{normal(match[1])}=={match[2]}": lock[match.start() : end].rstrip()
        for match, end in zip(starts, ends, strict=True)
    }
    missing = [one for one in requirements if "--hash" not in blocks.get(one, "")]
    if missing:
        raise Invalid(
            "serving.not_locked",
            f"The lock has no hashes for {', '.join(missing[:5])}.",
            hint="Package with the versions of the lock installed, or leave out --lock.",
            requirements=missing,
        )
    return [blocks[one] for one in requirements]


def normal(name: str) -> str:
    """A distribution's name in normal form (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _required(name: str) -> list[tuple[str, bool]]:
    found: list[tuple[str, bool]] = []
    for text in metadata.requires(name) or ():
        requirement, _, condition = text.partition(";")
        match = _NAME.match(requirement.strip())
        if match and "extra" not in condition:
            found.append((match[0], not condition))
    return found


def _installed(name: str) -> bool:
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError as error:
        raise Unavailable(
            "serving.not_installed",
            f"{name} is not installed, so its version cannot be pinned.",
            hint=f"Install what the model answers with here first: pip install {name}.",
            library=name,
        ) from error
