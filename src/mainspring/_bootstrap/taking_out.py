"""A model version taken out of its workspace: chosen, checked, written, and put on record."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from mainspring.core.digest import Digest
from mainspring.core.errors import Conflict, NotFound
from mainspring.core.events import Fact, ref
from mainspring.projects.production import CHAMPION
from mainspring.projects.scoring import chosen_version
from mainspring.registry.events import VERSION_EXPORTED
from mainspring.serving.traffic import Route, RouteTable, Variant

if TYPE_CHECKING:
    from mainspring._bootstrap.workspace import Workspace
    from mainspring.registry.manifest import Manifest
    from mainspring.registry.packages import Package
    from mainspring.serving.packaging.kubernetes import Wanted
    from mainspring.serving.ports import Runtime

Form = Literal["wheel", "container", "kubernetes", "onnx"]


@dataclass(frozen=True, slots=True)
class TakenOut:
    """Which version was written, as what, and where."""

    address: str
    form: Form
    path: Path


def take_wheel(workspace: Workspace, address: str, into: Path) -> TakenOut:
    """A wheel in a folder. Errors: ``serving.file_exists``; those of ``build_wheel``."""
    from mainspring.serving.packaging.needs import needs
    from mainspring.serving.packaging.wheel import build_wheel

    package = _package(workspace, address)
    needs(package.manifest.runtime)
    runtime = _runtimes()[package.manifest.runtime]

    def write(folder: Path) -> None:
        build_wheel(
            package.manifest,
            workspace.objects.get,
            runtime=runtime,
            version=str(package.version.number),
            into=folder,
        )

    into.mkdir(parents=True, exist_ok=True)
    with _aside(into) as scratch:
        write(scratch)
        (made,) = scratch.iterdir()
        target = into / made.name
        _refuse_existing(target)
        made.rename(target)
    return _recorded(workspace, package, "wheel", target)


def take_container(
    workspace: Workspace, address: str, into: Path, endpoint: str | None, lock: str | None
) -> TakenOut:
    """A build context in a folder that is made. Errors: those of ``build_context``."""
    from mainspring._adapters.files.objects import FileObjects
    from mainspring.serving.packaging.container import build_context

    package = _package(workspace, address)
    _load(workspace, package.manifest)
    variant = Variant(
        name=CHAMPION,
        model=Digest(str(package.version.package)),
        version=str(package.version.number),
    )
    table = RouteTable().with_route(endpoint or package.version.name, Route(variants=(variant,)))

    def write(folder: Path) -> None:
        target = FileObjects(folder / "model" / "objects")
        build_context(table, workspace.objects, target, folder, lock=lock)

    return _folder(workspace, package, "container", into, write)


def take_kubernetes(workspace: Workspace, address: str, into: Path, wanted: Wanted) -> TakenOut:
    """Manifests in a folder that is made."""
    from mainspring.serving.packaging.manifests import write_manifests

    package = _package(workspace, address)
    return _folder(
        workspace,
        package,
        "kubernetes",
        into,
        lambda folder: write_manifests(package.version, wanted, folder),
    )


def take_onnx(workspace: Workspace, address: str, into: Path) -> TakenOut:
    """The graph and its check in a folder that is made. Errors: those of ``build_onnx``."""
    from mainspring.serving.packaging.onnx import build_onnx

    package = _package(workspace, address)

    def write(folder: Path) -> None:
        build_onnx(
            package.manifest, workspace.objects.get, runtime=_runtimes()["onnx"], into=folder
        )

    return _folder(workspace, package, "onnx", into, write)


# -- inside -----------------------------------------------------------------------------------


def _package(workspace: Workspace, address: str) -> Package:
    """The package of a version that may be used: checked, and its signature too."""
    version = chosen_version(workspace.registry, address)
    if version.status in {"rejected", "archived"}:
        raise Conflict(
            "registry.not_releasable",
            f"{version.address} is {version.status}: {version.reason}",
            hint="Package a registered or approved version.",
            version=version.number,
        )
    return workspace.registry.packages.open(version.name, version.number)


def _load(workspace: Workspace, manifest: Manifest) -> None:
    from mainspring.serving.model import load_model

    load_model(manifest.digest, workspace.objects.get, _runtimes())


def _runtimes() -> dict[str, Runtime]:
    from mainspring._bootstrap.workspace import runtimes

    return runtimes()


def _folder(
    workspace: Workspace, package: Package, form: Form, into: Path, write: Callable[[Path], None]
) -> TakenOut:
    _refuse_existing(into)
    if not into.absolute().parent.is_dir():
        raise NotFound(
            "serving.no_such_folder",
            f"There is no folder {str(into.absolute().parent)!r}.",
            hint="Make it first, or name another with --into.",
        )
    with _aside(into.absolute().parent) as scratch:
        write(scratch)
        scratch.chmod(0o755)
        scratch.rename(into)
    return _recorded(workspace, package, form, into)


@contextmanager
def _aside(parent: Path) -> Iterator[Path]:
    """A folder beside the target, so that there is all of it or nothing."""
    scratch = Path(tempfile.mkdtemp(prefix=".mainspring-", dir=parent))
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _refuse_existing(target: Path) -> None:
    if target.exists():
        raise Conflict(
            "serving.file_exists",
            f"{str(target)!r} is there already; nothing was written.",
            hint="Name another with --into, or remove it.",
        )


def _recorded(workspace: Workspace, package: Package, form: Form, path: Path) -> TakenOut:
    version = package.version
    fact = Fact(
        kind=VERSION_EXPORTED,
        subject=version.ref,
        facts={"package": version.package, "form": form},
        used=(version.ref,),
        generated=(ref("export", f"{version.address}:{form}"),),
        actor=workspace.actor,
    )
    workspace.database.write(lambda tx: tx.announce(fact))
    return TakenOut(version.address, form, path)
