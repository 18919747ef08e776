"""``models package``: a version leaves the workspace, whole or not at all, and it is on record."""

from __future__ import annotations

import msgspec
import pytest

from mainspring._bootstrap.workspace import open_workspace
from mainspring.core.digest import sha256
from mainspring.core.schema import InputColumn, Signature
from mainspring.registry.manifest import Manifest


@pytest.fixture
def late(project, cli):
    """The project with one version of a model that answers."""
    files = {"constant.json": msgspec.json.encode({"value": 0.25})}
    with open_workspace(project) as workspace:
        workspace.registry.models.register("late")
        manifest = Manifest(
            name="late",
            task="binary",
            runtime="constant",
            signature=Signature((InputColumn("amount", "number"),), "probability"),
            files={path: sha256(data) for path, data in files.items()},
        )
        workspace.registry.versions.create("late", manifest, files)
    assert cli("models", "promote", "late/1").code == 0
    return project


def test_each_form_is_written_where_it_is_said(late, cli):
    """Wheel, build context and manifests; the path is told, to programs too; the record knows."""
    told = cli("models", "package", "late", "--as", "wheel", "--json").document
    assert told == {"version": "late/1", "as": "wheel", "path": "late_model-1-py3-none-any.whl"}
    assert (late / told["path"]).is_file()
    assert cli("models", "package", "late@champion", "--as", "container").code == 0
    assert (late / "late-1-container" / "Dockerfile").is_file()
    words = ["models", "package", "late/1", "--as", "kubernetes"]
    assert cli(*words).code == 2
    assert cli(*words, "--image", "late:1", "--into", "cluster").code == 0
    assert "kind: Deployment" in (late / "cluster" / "late.yaml").read_text()
    log = cli("audit", "log", "--json", "--limit", "50").out
    assert log.count("registry.version_exported") == 3
    assert not list(late.glob(".mainspring-*"))


def test_nothing_is_overwritten_and_nothing_half_written(late, cli):
    """A target that is there, a missing folder, a lock that does not fit: no file, exit code 1-3."""
    assert cli("models", "package", "late", "--as", "container").code == 0
    assert cli("models", "package", "late", "--as", "container").code == 1
    assert cli("models", "package", "late", "--as", "container", "--into", "no/where").code == 3
    (late / "lock.txt").write_text("numpy==0.1 \\\n    --hash=sha256:aa\n")
    words = ["models", "package", "late", "--as", "container", "--into", "locked"]
    assert cli(*words, "--lock", "lock.txt").code == 2
    assert cli(*words, "--lock", "none.txt").code == 3
    assert not (late / "locked").exists()
    assert not list(late.glob(".mainspring-*"))


def test_what_does_not_leave(late, cli):
    """A version without a graph gives no ONNX and says why; a rejected one gives nothing at all."""
    answer = cli("models", "package", "late", "--as", "onnx")
    assert answer.code == 2
    assert "has no ONNX graph: its runtime is 'constant'" in " ".join(answer.err.split())
    assert cli("models", "package", "late/9", "--as", "wheel").code == 3
    assert cli("models", "promote", "late/1", "--to", "other").code == 0
    with open_workspace(late) as workspace:
        files = {"constant.json": msgspec.json.encode({"value": 0.5})}
        manifest = Manifest(
            name="late",
            task="binary",
            runtime="constant",
            signature=Signature((InputColumn("amount", "number"),), "probability"),
            files={path: sha256(data) for path, data in files.items()},
        )
        workspace.registry.versions.create("late", manifest, files)
    assert cli("models", "reject", "late/2", "--why", "worse").code == 0
    assert cli("models", "package", "late/2", "--as", "wheel").code == 1
