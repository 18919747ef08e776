"""Files as a wheel whose bytes depend on nothing but them.

Source: PyPA binary distribution format (PEP 427), core metadata 2.4, RECORD as in PEP 376.
"""

from __future__ import annotations

import base64
import hashlib
import io
import zipfile
from collections.abc import Mapping
from importlib import metadata
from typing import Final

_EPOCH: Final = (1980, 1, 1, 0, 0, 0)  # the first moment a ZIP file can hold
WHEEL: Final = (
    b"Wheel-Version: 1.0\nGenerator: mainspring\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
)


def wheel_bytes(members: Mapping[str, bytes], folder: str) -> bytes:
    """The archive with its RECORD; ``folder`` is its ``NAME-VERSION.dist-info``."""
    record = f"{folder}/RECORD"
    lines = [f"{name},sha256={_hash(data)},{len(data)}" for name, data in members.items()]
    lines.append(f"{record},,")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in {**members, record: "\n".join([*lines, ""]).encode()}.items():
            member = zipfile.ZipInfo(name, _EPOCH)
            member.external_attr = 0o644 << 16
            archive.writestr(member, data, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def licence() -> bytes:
    """The text of our licence, which goes with every copy of the source."""
    text = metadata.distribution("mainspring").read_text("licenses/LICENSE")
    return (text or "Apache-2.0\n").encode()


def _hash(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
