"""A workspace's own signing key: made on first use, readable by its owner alone."""

from __future__ import annotations

import hashlib
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from mainspring.core.errors import Broken, Denied, Unavailable

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import (
        EllipticCurvePrivateKey,
        EllipticCurvePublicKey,
    )

PRIVATE: Final = "signing.key"
PUBLIC: Final = "signing.pub"
_MAX_KEY_BYTES: Final = 10_000


def load_or_make(folder: Path) -> EllipticCurvePrivateKey:
    """The folder's P-256 key; made, with its public half beside it, when there is none.

    Concurrency: of several processes that find no key at once, one makes it and all get that one.
    Errors: ``registry.extra_missing``, ``registry.key_exposed``, ``registry.key_unreadable``.
    """
    _need_extra()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        key = read_private(folder / PRIVATE)
    except FileNotFoundError:
        _make(folder)
        key = read_private(folder / PRIVATE)
    if not (folder / PUBLIC).exists():  # new, or a crash came between the two files
        _place(folder, PUBLIC, pem_of(key.public_key()), mode=0o644)
    return key


def read_private(path: Path) -> EllipticCurvePrivateKey:
    """A private key from a file that nobody else may read."""
    _need_extra()
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        mode = os.fstat(file.fileno()).st_mode
        if not stat.S_ISREG(mode) or mode & 0o077:
            raise Denied(
                "registry.key_exposed",
                f"Others may read the signing key {path.name!r}.",
                hint=f"Make it private (chmod 600 {path}), or remove it and get a new one.",
                path=str(path),
            )
        data = file.read(_MAX_KEY_BYTES)
    try:
        key = load_pem_private_key(data, password=None)
    except (ValueError, TypeError) as error:
        raise _unreadable(path.name, str(error)) from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.curve.name != "secp256r1":
        raise _unreadable(path.name, "it is not a P-256 key")
    return key


def read_public(pem: bytes) -> EllipticCurvePublicKey:
    """A P-256 public key from its PEM text. Errors: ``registry.key_unreadable``."""
    _need_extra()
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        key = load_pem_public_key(pem)
    except (ValueError, TypeError) as error:
        raise _unreadable("public key", str(error)) from error
    if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name != "secp256r1":
        raise _unreadable("public key", "it is not a P-256 key")
    return key


def pem_of(key: EllipticCurvePublicKey) -> bytes:
    """A public key as PEM text."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def id_of(key: EllipticCurvePublicKey) -> str:
    """The hint by which signatures name a key: SHA-256 of its PEM text."""
    return hashlib.sha256(pem_of(key)).hexdigest()


def _make(folder: Path) -> None:
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
    )

    key = ec.generate_private_key(ec.SECP256R1())
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    _place(folder, PRIVATE, private, mode=0o600)


def _place(folder: Path, name: str, data: bytes, *, mode: int) -> None:
    """Makes the file, whole and durable; one that is there already stays as it is."""
    draft = folder / f".{name}.{os.getpid()}.{os.urandom(6).hex()}"
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            os.link(draft, folder / name)
    finally:
        draft.unlink(missing_ok=True)
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _need_extra() -> None:
    try:
        import cryptography  # noqa: F401
    except ImportError as error:
        raise Unavailable(
            "registry.extra_missing",
            "Signing needs the package 'cryptography'.",
            hint="Install the extra: pip install 'mainspring[sign]'.",
            extra="sign",
        ) from error


def _unreadable(name: str, why: str) -> Broken:
    return Broken(
        "registry.key_unreadable",
        f"The key {name!r} cannot be used: {why}.",
        hint="Signing needs an unencrypted NIST P-256 key in PEM.",
        name=name,
    )
