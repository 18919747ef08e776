"""The manifests of a packaged model, written."""

from __future__ import annotations

from pathlib import Path

from mainspring.registry.types import Version
from mainspring.serving.packaging.kserve import kserve_objects
from mainspring.serving.packaging.kubernetes import Wanted, check, objects
from mainspring.serving.packaging.yaml import documents


def write_manifests(version: Version, wanted: Wanted, into: Path) -> None:
    """``NAME.yaml`` for plain Kubernetes and ``kserve/NAME.yaml`` for KServe: apply one of them.

    Errors: ``serving.bad_manifest_name``.
    """
    check(wanted)
    (into / f"{wanted.name}.yaml").write_text(documents(objects(version, wanted)))
    (into / "kserve").mkdir()
    kserve = documents(kserve_objects(version, wanted))
    (into / "kserve" / f"{wanted.name}.yaml").write_text(kserve)
