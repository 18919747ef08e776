"""Portable files: the same bytes for the same version, and nothing read that was not written."""

from __future__ import annotations

import io
import stat
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from registry_workspace import Workspace, package, workspace_at
from tests import needs

from mainspring.core.errors import Broken, Invalid, MainspringError
from mainspring.registry.archive import write_archive
from mainspring.registry.details import Details
from mainspring.registry.facts import Facts

Entries = dict[str, bytes]


@pytest.fixture
def other() -> Iterator[Workspace]:
    workspace = workspace_at(":memory:")
    yield workspace
    workspace.database.close()


def exported(ws: Workspace, name: str = "late", number: int = 1) -> bytes:
    target = io.BytesIO()
    ws.registry.transfers.export(name, number, target)
    return target.getvalue()


@pytest.fixture
def archive(ws: Workspace) -> bytes:
    ws.registry.models.register("late")
    details = Details(facts=Facts(learner="linear"))
    ws.registry.versions.create("late", *package(), details=details)
    return exported(ws)


def entries(archive: bytes) -> Entries:
    with zipfile.ZipFile(io.BytesIO(archive)) as found:
        return {name: found.read(name) for name in found.namelist()}


def zipped(contents: Entries) -> bytes:
    target = io.BytesIO()
    write_archive(target, contents)
    return target.getvalue()


def test_a_version_travels_whole(archive: bytes, other: Workspace):
    """The package, its facts and its first address arrive; the origin stands in a tag."""
    version = other.registry.transfers.load(io.BytesIO(archive))
    found = other.registry.packages.open("late", version.number)
    assert (found.manifest, dict(found.files)) == package()
    assert found.facts.learner == "linear"
    assert version.tags == {"imported_from": "late/1"}
    assert other.registry.packages.verify("late", 1).ok


def test_the_same_version_gives_the_same_bytes(ws: Workspace, archive: bytes):
    """Time, order and machine leave no trace in the file; a judgement on record does."""
    ws.clock.forward(days=1)
    assert exported(ws) == archive
    ws.registry.versions.judge("late", 1, "approved")
    assert exported(ws) != archive


def test_the_same_archive_is_registered_once(archive: bytes, other: Workspace):
    """A second load finds the version of the first; another name gets its own."""
    first = other.registry.transfers.load(io.BytesIO(archive))
    assert other.registry.transfers.load(io.BytesIO(archive)) == first
    assert other.registry.transfers.load(io.BytesIO(archive), name="copy").address == "copy/1"


def drop(name: str) -> Callable[[Entries], Entries]:
    return lambda found: {key: value for key, value in found.items() if key != name}


def put(name: str, data: bytes) -> Callable[[Entries], Entries]:
    return lambda found: {**found, name: data}


@pytest.mark.parametrize(
    "change",
    [
        put("model/files/model.txt", b"weightz"),
        put("model/files/extra.txt", b""),
        put("model/files/../../evil", b""),
        put("model/files//etc/passwd", b""),
        put("model/files/.git/config", b""),
        put("model/files/MODEL.txt", b""),
        put("model/other.txt", b""),
        put("../evil", b""),
        put("/evil", b""),
        put("evil", b""),
        put("model/manifest.json", b"{}"),
        put("model/version.json", b"{}"),
        put("model/version.json", b"[" * 10_000),
        put("model/facts.json", b"{"),
        put("model.sig/", b""),
        drop("model/manifest.json"),
        drop("model/version.json"),
        drop("model/files/model.txt"),
        lambda found: found | {f"model/files/f{at}": b"" for at in range(1_010)},
    ],
)
def test_a_changed_archive_registers_nothing(
    archive: bytes, other: Workspace, change: Callable[[Entries], Entries]
):
    """Changed, added, missing and misplaced files are refused, and no model or version is left."""
    with pytest.raises((Invalid, Broken)):
        other.registry.transfers.load(io.BytesIO(zipped(change(entries(archive)))))
    assert other.registry.models.search().items == ()
    assert other.events == []


def rewritten(archive: bytes, **options: object) -> bytes:
    """The same contents in a ZIP made otherwise; ``mode`` sets the Unix mode of one entry."""
    target = io.BytesIO()
    mode = options.pop("mode", None)
    with zipfile.ZipFile(target, "w", **options) as made:
        for name, data in entries(archive).items():
            info = zipfile.ZipInfo(name)
            info.compress_type = made.compression
            if mode and name.endswith("model.txt"):
                info.external_attr = int(mode) << 16
            made.writestr(info, data)
    return target.getvalue()


@pytest.mark.parametrize(
    "kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFDIR, stat.S_IFSOCK]
)
def test_only_regular_files_are_read(archive: bytes, other: Workspace, kind: int):
    """Links, pipes, devices and folders in an archive are refused."""
    with pytest.raises(Invalid) as refused:
        other.registry.transfers.load(io.BytesIO(rewritten(archive, mode=kind | 0o644)))
    assert refused.value.code == "registry.bad_archive"


def test_compressed_archives_are_refused(archive: bytes, other: Workspace):
    """What could unfold to a thousand times its size is not unfolded."""
    bomb = rewritten(archive, compression=zipfile.ZIP_DEFLATED)
    with pytest.raises(Invalid, match="compressed"):
        other.registry.transfers.load(io.BytesIO(bomb))


def test_a_name_twice_is_refused(archive: bytes, other: Workspace):
    """Two entries of one name would let checker and reader see different bytes."""
    target = io.BytesIO(archive)
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(target, "a") as made:
        made.writestr("model/files/model.txt", b"other")
    with pytest.raises(Invalid, match="twice"):
        other.registry.transfers.load(target)


@pytest.mark.parametrize("tail", [b"PK\x05\x06" + b"\x00" * 18, b" ", b"\x00" * 100])
def test_bytes_after_the_end_are_refused(archive: bytes, other: Workspace, tail: bytes):
    """An archive ends where its directory does."""
    with pytest.raises(Invalid) as refused:
        other.registry.transfers.load(io.BytesIO(archive + tail))
    assert refused.value.code == "registry.bad_archive"


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_a_damaged_archive_is_the_same_version_or_an_error(
    archive: bytes, other: Workspace, data: st.DataObject
):
    """Any byte changed, any tail cut: our error and no other, or the very same package."""
    at = data.draw(st.integers(0, len(archive) - 1))
    if data.draw(st.booleans()):
        damaged = archive[:at]
    else:
        damaged = (
            archive[:at] + bytes([archive[at] ^ data.draw(st.integers(1, 255))]) + archive[at + 1 :]
        )
    try:
        version = other.registry.transfers.load(io.BytesIO(damaged))
    except MainspringError:
        return
    assert version.package == package()[0].digest


def test_a_signed_archive_is_believed_only_whole(tmp_path: Path):
    """Trusted and whole: registered and on record. Changed facts: refused. Stranger: as asked."""
    needs.module("cryptography")
    from mainspring._adapters.openssf.signing import open_signing

    home = workspace_at(":memory:", signing=open_signing(tmp_path / "home"))
    home.registry.models.register("late")
    home.registry.versions.create("late", *package(), details=Details(facts=Facts(learner="a")))
    archive = exported(home)

    public = (tmp_path / "home" / "signing.pub").read_bytes()
    friend = open_signing(tmp_path / "friend", trusted=[public])
    trusting = workspace_at(":memory:", signing=friend, require_signature=True)
    trusting.registry.transfers.load(io.BytesIO(archive))
    told = [event.facts for event in trusting.events if event.kind.endswith("version_registered")]
    assert told[0]["evidence"]["signature"].startswith("valid, by ")
    changed = zipped(put("model/facts.json", b'{"learner":"b"}')(entries(archive)))
    with pytest.raises(Broken) as refused:
        trusting.registry.transfers.load(io.BytesIO(changed))
    assert refused.value.facts["path"] == "facts.json"

    stranger = open_signing(tmp_path / "stranger")
    strict = workspace_at(":memory:", signing=stranger, require_signature=True)
    for refused_archive in (archive, zipped(drop("model.sig")(entries(archive)))):
        with pytest.raises(Broken) as refused:
            strict.registry.transfers.load(io.BytesIO(refused_archive))
        assert refused.value.code == "registry.not_signed"
    lenient = workspace_at(":memory:", signing=stranger)
    assert lenient.registry.transfers.load(io.BytesIO(archive)).number == 1
    for workspace in (home, trusting, strict, lenient):
        workspace.database.close()


def test_a_tampered_version_is_not_exported(ws: Workspace, archive: bytes):
    """Bytes that changed in the store do not get out under a good name."""
    digest = package()[0].files["model.txt"]
    ws.objects._stored[digest] = b"other"
    with pytest.raises(Broken):
        exported(ws)
