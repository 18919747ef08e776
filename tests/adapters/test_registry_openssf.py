"""Signatures: made by us and read by the official tool, and the other way round; nothing forged."""

# ruff: noqa: E402 - what needs a library asks for it first

from __future__ import annotations

import base64
import json
import os
import shutil
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from tests import needs

needs.module("cryptography")

from mainspring._adapters.openssf.keys import PRIVATE, PUBLIC, load_or_make
from mainspring._adapters.openssf.signing import KeySigning, open_signing
from mainspring.core.digest import sha256
from mainspring.core.errors import Broken, Denied, MainspringError

FILES = {
    "manifest.json": b"{}",
    "files/model.txt": b"weights",
    "files/sub/a.bin": bytes(range(256)),
}
RESOURCES = {path: sha256(data) for path, data in FILES.items()}


@pytest.fixture
def signing(tmp_path: Path) -> KeySigning:
    return open_signing(tmp_path / "keys")


def test_a_signature_says_what_was_signed(signing: KeySigning):
    """Subject, files and key come back from a valid signature."""
    signed = signing.check(signing.sign("late/2", RESOURCES))
    assert (signed.subject, signed.resources, signed.key_id) == (
        "late/2",
        RESOURCES,
        signing.key_id,
    )


def test_every_changed_letter_is_found(signing: KeySigning):
    """Whatever byte of the document is replaced, it is refused or says exactly the same."""
    bundle = signing.sign("late/2", {"manifest.json": RESOURCES["manifest.json"]})
    whole = signing.check(bundle)

    def verdict(data: bytes) -> object:
        try:
            return signing.check(data)
        except Broken as error:
            return error.code

    verdicts = [
        verdict(bundle[:at] + bytes([bundle[at] ^ 1]) + bundle[at + 1 :])
        for at in range(len(bundle))
    ]
    assert "registry.signature_invalid" in verdicts
    refused = [one for one in verdicts if one != whole]
    assert len(refused) > 0.95 * len(bundle)
    assert all(str(one).startswith("registry.signature_") for one in refused)


def test_another_statement_under_the_same_signature_is_refused(signing: KeySigning):
    """The signature belongs to its bytes: neither the payload nor the signature can be swapped."""
    ours = json.loads(signing.sign("late/2", RESOURCES))
    other = json.loads(signing.sign("late/1", RESOURCES))
    ours["dsseEnvelope"]["payload"] = other["dsseEnvelope"]["payload"]
    with pytest.raises(Broken) as refused:
        signing.check(json.dumps(ours).encode())
    assert refused.value.code == "registry.signature_invalid"


def test_a_key_that_is_not_trusted_is_not_believed(signing: KeySigning, tmp_path: Path):
    """A good signature of a stranger is refused until the stranger's key is trusted."""
    stranger = open_signing(tmp_path / "stranger")
    bundle = stranger.sign("late/2", RESOURCES)
    with pytest.raises(Broken) as refused:
        signing.check(bundle)
    assert refused.value.code == "registry.signature_untrusted"
    public = (tmp_path / "stranger" / PUBLIC).read_bytes()
    trusting = open_signing(tmp_path / "keys", trusted=[public])
    assert trusting.check(bundle).key_id == stranger.key_id


def test_a_strangers_signature_under_a_trusted_name_is_refused(signing: KeySigning, tmp_path: Path):
    """The key's name in the document decides which key must have signed, not whether one did."""
    bundle = json.loads(open_signing(tmp_path / "stranger").sign("late/2", RESOURCES))
    bundle["verificationMaterial"]["publicKey"]["hint"] = signing.key_id
    with pytest.raises(Broken) as refused:
        signing.check(json.dumps(bundle).encode())
    assert refused.value.code == "registry.signature_invalid"


@pytest.mark.parametrize(
    "data",
    [b"", b"null", b"{}", b"[" * 100_000, b"\xff\xfe", b'{"mediaType": "x"}', b"0" * 5_000_000],
)
def test_what_is_no_signature_is_refused(signing: KeySigning, data: bytes):
    """Empty, deep, huge and foreign documents give the one error."""
    with pytest.raises(Broken) as refused:
        signing.check(data)
    assert refused.value.code == "registry.signature_unreadable"


def test_the_key_is_private_and_made_once(tmp_path: Path):
    """Mode 0600 in a folder of 0700; ten at once get one and the same key."""
    folder = tmp_path / "keys"
    found: list[str] = []
    threads = [
        threading.Thread(target=lambda: found.append(open_signing(folder).key_id))
        for _ in range(10)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 1
    assert len(found) == 10
    assert stat.S_IMODE((folder / PRIVATE).stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert sorted(path.name for path in folder.iterdir()) == [PRIVATE, PUBLIC]


def test_a_key_that_others_may_read_is_refused(tmp_path: Path):
    """A key with open permissions, behind a link, or of another kind signs nothing."""
    load_or_make(tmp_path)
    (tmp_path / PRIVATE).chmod(0o644)
    with pytest.raises(Denied):
        load_or_make(tmp_path)
    (tmp_path / PRIVATE).chmod(0o600)
    (tmp_path / PRIVATE).write_bytes(b"no key")
    with pytest.raises(MainspringError) as refused:
        load_or_make(tmp_path)
    assert refused.value.code == "registry.key_unreadable"


# -- the official tool ------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def official(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The command of the ``model-signing`` package, in an environment of its own.

    The package misses a dependency (pyOpenSSL), so it is installed beside it. An installed one is
    used when ``MODEL_SIGNING`` names its command.
    """
    named = os.environ.get("MODEL_SIGNING") or shutil.which("model_signing")
    if named:
        return named
    folder = tmp_path_factory.mktemp("official")
    subprocess.run([sys.executable, "-m", "venv", folder], check=True, timeout=120)
    install = [folder / "bin" / "pip", "install", "-q", "model-signing==1.1.1", "pyopenssl"]
    subprocess.run(install, check=True, timeout=600)
    return str(folder / "bin" / "model_signing")


def lay_out(folder: Path) -> Path:
    for path, data in FILES.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
    return folder


def run(official: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [official, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.services
def test_the_official_tool_verifies_ours(official: str, tmp_path: Path):
    """It accepts the untouched folder, and refuses a changed, an added and a removed file."""
    signing = open_signing(tmp_path / "keys")
    model = lay_out(tmp_path / "model")
    signature = tmp_path / "model.sig"
    signature.write_bytes(signing.sign("late/2", RESOURCES))

    def verify() -> int:
        public = tmp_path / "keys" / PUBLIC
        return run(
            official, "verify", "key", model, "--public_key", public, "--signature", signature
        ).returncode

    assert verify() == 0
    (model / "files/model.txt").write_bytes(b"weightz")
    assert verify() != 0
    (model / "files/model.txt").write_bytes(b"weights")
    (model / "files/extra").write_bytes(b"")
    assert verify() != 0
    (model / "files/extra").unlink()
    (model / "files/sub/a.bin").unlink()
    assert verify() != 0


@pytest.mark.services
def test_we_verify_the_official_tools(official: str, tmp_path: Path):
    """What it signs with our key we read as the same files; a changed payload we refuse."""
    signing = open_signing(tmp_path / "keys")
    model = lay_out(tmp_path / "late")
    signature = tmp_path / "model.sig"
    private = tmp_path / "keys" / PRIVATE
    done = run(official, "sign", "key", model, "--private_key", private, "--signature", signature)
    assert done.returncode == 0, done.stderr
    signed = signing.check(signature.read_bytes())
    assert (signed.subject, signed.resources) == ("late", RESOURCES)
    bundle = json.loads(signature.read_bytes())
    payload = base64.b64decode(bundle["dsseEnvelope"]["payload"]).replace(b"late", b"soon")
    bundle["dsseEnvelope"]["payload"] = base64.b64encode(payload).decode()
    with pytest.raises(Broken) as refused:
        signing.check(json.dumps(bundle).encode())
    assert refused.value.code == "registry.signature_invalid"
