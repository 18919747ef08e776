"""Signed versions: opened only as they were signed; a swap of rows or bytes is named."""

# ruff: noqa: E402 - what needs a library asks for it first

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from registry_workspace import Workspace, package, workspace_at
from tests import needs

needs.module("cryptography")

from msgspec.structs import replace

from mainspring._adapters.openssf.signing import open_signing
from mainspring._adapters.sql.registry import SqlRegistry
from mainspring.core.errors import Broken, Unavailable
from mainspring.registry.details import Details
from mainspring.registry.facts import Facts
from mainspring.registry.types import Version


@pytest.fixture
def signed(tmp_path: Path) -> Iterator[Workspace]:
    workspace = workspace_at(
        ":memory:", signing=open_signing(tmp_path / "keys"), require_signature=True
    )
    workspace.registry.models.register("late")
    for text in ("one", "two"):
        workspace.registry.versions.create(
            "late", *package(text), details=Details(facts=Facts(learner=text))
        )
    yield workspace
    workspace.database.close()


def overwrite(ws: Workspace, version: Version, **columns: object) -> None:
    """Changes a stored row behind the registry's back, as an intruder in the database would."""
    ws.database.write(
        lambda tx: SqlRegistry("sqlite").save_version(tx, replace(version, **columns))
    )


def test_a_registered_version_is_signed_and_sound(signed: Workspace):
    """Registering signs; verifying and the card say so; two events tell of it."""
    found = signed.registry.packages.verify("late", 2)
    assert (found.ok, found.signature) == (True, "valid")
    assert signed.registry.packages.card("late", 2).signature == "valid"
    assert signed.kinds()[-2:] == ["version_registered", "version_signed"]


def test_an_older_signed_version_cannot_be_put_in_place_of_a_newer(signed: Workspace):
    """Package, facts and signature of version 1 in the row of version 2 are refused on opening."""
    one = signed.registry.versions.get("late", 1)
    two = signed.registry.versions.get("late", 2)
    overwrite(signed, two, package=one.package, facts=one.facts, signature=one.signature)
    with pytest.raises(Broken) as refused:
        signed.registry.packages.open("late", 2)
    assert refused.value.code == "registry.tampered"
    overwrite(
        signed,
        two,
        package=one.package,
        facts=one.facts,
        signature=one.signature,
        registered_as=one.registered_as,
    )
    with pytest.raises(Broken) as refused:
        signed.registry.packages.open("late", 2)
    assert refused.value.facts["paths"] == ["version.json"]


@pytest.mark.parametrize(
    ("column", "path"),
    [("package", "manifest.json"), ("facts", "facts.json"), ("signature", "version.json")],
)
def test_each_swapped_part_is_named(signed: Workspace, column: str, path: str):
    """A part taken from another version is found by the signature and named."""
    one = signed.registry.versions.get("late", 1)
    two = signed.registry.versions.get("late", 2)
    overwrite(signed, two, **{column: getattr(one, column)})
    with pytest.raises(Broken) as refused:
        signed.registry.packages.open("late", 2)
    assert path in refused.value.facts["paths"]
    found = signed.registry.packages.verify("late", 2)
    assert found.signature == "invalid"
    assert path in [fault.path for fault in found.faults]


def test_a_signature_that_was_taken_away_is_missed(signed: Workspace):
    """Where signatures are required, a version without one is not opened and not sound."""
    overwrite(signed, signed.registry.versions.get("late", 2), signature=None)
    with pytest.raises(Broken) as refused:
        signed.registry.packages.open("late", 2)
    assert refused.value.code == "registry.not_signed"
    assert [f.what for f in signed.registry.packages.verify("late", 2).faults] == ["unsigned"]
    signed.registry.packages.sign("late", 2)
    assert signed.registry.packages.verify("late", 2).ok


def test_a_rename_does_not_touch_what_was_signed(signed: Workspace):
    """The signature is over the address at registration, which the version keeps."""
    signed.registry.models.rename("late", "later")
    assert signed.registry.packages.verify("later", 2).signature == "valid"


def test_without_a_key_nothing_is_signed_and_the_card_says_so(ws: Workspace):
    """No extra, no signature: packages are opened by digest alone."""
    ws.registry.models.register("late")
    ws.registry.versions.create("late", *package())
    assert ws.registry.packages.card("late", 1).signature == "not signed"
    assert ws.registry.packages.open("late", 1).files["model.txt"] == b"weights"
    with pytest.raises(Unavailable) as refused:
        ws.registry.packages.sign("late", 1)
    assert refused.value.code == "registry.signing_off"
