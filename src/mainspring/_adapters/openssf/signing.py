"""The signing port with ECDSA over NIST P-256 and SHA-256."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from mainspring._adapters.openssf import keys
from mainspring._adapters.openssf.statement import (
    pre_authentication,
    read_bundle,
    read_statement,
    write_bundle,
    write_statement,
)
from mainspring.core.digest import Digest
from mainspring.core.errors import Broken
from mainspring.registry.ports import Signed

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import (
        EllipticCurvePrivateKey,
        EllipticCurvePublicKey,
    )


def open_signing(folder: Path, *, trusted: Iterable[bytes] = ()) -> KeySigning:
    """Signing with the folder's key, made on first use; ``trusted`` are more public keys (PEM).

    Errors: ``registry.extra_missing``, ``registry.key_exposed``, ``registry.key_unreadable``.
    """
    return KeySigning(keys.load_or_make(folder), [keys.read_public(pem) for pem in trusted])


class KeySigning:
    """Signs with one key; believes that key and those it was told to trust."""

    def __init__(
        self, key: EllipticCurvePrivateKey, trusted: Iterable[EllipticCurvePublicKey] = ()
    ) -> None:
        self._key = key
        self._trusted = {keys.id_of(one): one for one in (key.public_key(), *trusted)}

    @property
    def key_id(self) -> str:
        return keys.id_of(self._key.public_key())

    def sign(self, subject: str, resources: Mapping[str, Digest]) -> bytes:
        from cryptography.hazmat.primitives.asymmetric import ec
        from cryptography.hazmat.primitives.hashes import SHA256

        payload = write_statement(subject, resources)
        signature = self._key.sign(pre_authentication(payload), ec.ECDSA(SHA256()))
        return write_bundle(payload, signature, self.key_id)

    def check(self, signature: bytes) -> Signed:
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric import ec
        from cryptography.hazmat.primitives.hashes import SHA256

        envelope = read_bundle(signature)
        key = self._trusted.get(envelope.key_hint)
        if key is None:
            raise Broken(
                "registry.signature_untrusted",
                f"The signature was made by a key that is not trusted ({envelope.key_hint[:64]}).",
                hint="Add the signer's public key to the trusted keys, if you know whose it is.",
                key=envelope.key_hint[:64],
            )
        try:
            signed = pre_authentication(envelope.payload)
            key.verify(envelope.signature, signed, ec.ECDSA(SHA256()))
        except InvalidSignature as error:
            raise Broken(
                "registry.signature_invalid",
                "The signature does not belong to what it claims to sign.",
                hint="The document was changed after it was signed; do not use it.",
            ) from error
        # Read only after the signature holds: nothing of an unsigned document is interpreted.
        statement = read_statement(envelope.payload)
        return Signed(
            subject=statement.subject[0].name,
            resources=statement.resources,
            key_id=envelope.key_hint,
        )
