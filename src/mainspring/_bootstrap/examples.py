"""The example projects that come with Mainspring."""

from __future__ import annotations

import shutil
from pathlib import Path

import mainspring
from mainspring.core.errors import Conflict, NotFound
from mainspring.core.names import did_you_mean


def example_folders() -> dict[str, Path]:
    """Every example by name: of the installed package, or of the checkout it runs from."""
    package = Path(mainspring.__file__).parent
    for root in (package / "_examples", package.parents[1] / "examples"):
        found = {
            path.name: path
            for path in sorted(root.glob("*"))
            if (path / "mainspring.toml").is_file()
        }
        if found:
            return found
    return {}


def copy_example(name: str, target: Path) -> Path:
    """The example's files in ``target``; what is there already stays when it is the same.

    Errors: ``demo.unknown``; ``demo.other_files`` when the folder holds another project.
    """
    known = example_folders()
    if name not in known:
        raise NotFound(
            "demo.unknown",
            f"There is no example {name!r}.",
            hint=did_you_mean(name, known),
            example=name,
        )
    files = sorted(
        p for p in known[name].rglob("*") if p.is_file() and "__pycache__" not in p.parts
    )
    for file in files:
        place = target / file.relative_to(known[name])
        if place.exists() and place.read_bytes() != file.read_bytes():
            raise Conflict(
                "demo.other_files",
                f"{str(place)!r} is there and differs from the example.",
                hint="Give another folder with --dir, or remove it to start anew.",
                file=str(place),
            )
    for file in files:
        place = target / file.relative_to(known[name])
        place.parent.mkdir(parents=True, exist_ok=True)
        if not place.exists():
            shutil.copyfile(file, place)
    return target
