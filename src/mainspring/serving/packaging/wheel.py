"""A model version as a wheel: ``pip install`` it, import it, call ``predict``.

The same package gives the same bytes. Source: PyPA binary distribution format (PEP 427), core
metadata 2.1, RECORD as in PEP 376.
"""

from __future__ import annotations

import base64
import hashlib
import io
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

from mainspring.core.digest import Digest, canonical_json
from mainspring.core.errors import Invalid
from mainspring.registry.manifest import Manifest
from mainspring.serving.packaging.needs import needs

_EPOCH: Final = (1980, 1, 1, 0, 0, 0)  # the first moment a ZIP file can hold
_VERSION = re.compile(r"[0-9]+(\.[0-9]+)*\Z")
_MODULE: Final = '''"""{title}: a model packaged by Mainspring.

>>> from {module} import predict
>>> predict({{name: values, ...}})  # one sequence per input, all of one length
"""

from __future__ import annotations

import threading
from functools import cache
from importlib.resources import files

import numpy as np

from mainspring._bootstrap.workspace import runtimes
from mainspring.serving import load_model

VERSION = "{version}"
DIGEST = "{digest}"
_turn = threading.Lock()


@cache
def model():
    """The model, loaded once: every byte checked, the golden sample replayed."""
    folder = files(__name__) / "package"
    return load_model(
        DIGEST,
        lambda digest: (folder / digest.removeprefix("sha256:")).read_bytes(),
        runtimes(),
    )


def predict(rows):
    """``score`` per row, and ``decision`` when the model has a policy, as numpy arrays.

    ``rows`` maps each input to a sequence: numbers (None or NaN is missing), or texts (or None).
    """
    columns = {{}}
    for column in model().signature.inputs:
        kind = np.float64 if column.type == "number" else object
        columns[column.name] = np.asarray(rows[column.name], dtype=kind)
    with _turn:
        scores = model().predict(columns)
    answer = {{"score": scores.score}}
    if scores.decision is not None:
        answer["decision"] = scores.decision
    return answer
'''


def build_wheel(
    manifest: Manifest, read: Callable[[Digest], bytes], *, version: str, into: Path
) -> Path:
    """The wheel ``NAME_model-VERSION-py3-none-any.whl`` in a folder.

    ``read`` gives a stored object's bytes. Errors: ``serving.bad_wheel_version`` unless the
    version is digits and dots.
    """
    if not _VERSION.match(version):
        raise Invalid(
            "serving.bad_wheel_version",
            f"{version[:40]!r} cannot be the version of a wheel.",
            hint="Use digits and dots, such as 3 or 3.1.",
            version=version[:40],
        )
    module = f"{manifest.name.replace('-', '_')}_model"
    path = into / f"{module}-{version}-py3-none-any.whl"
    path.write_bytes(_archive(_members(manifest, read, module, version), module, version))
    return path


def _members(
    manifest: Manifest, read: Callable[[Digest], bytes], module: str, version: str
) -> dict[str, bytes]:
    source = _MODULE.format(
        title=f"{manifest.name} version {version}",
        module=module,
        version=version,
        digest=manifest.digest,
    )
    stored = {manifest.digest: canonical_json(manifest)}
    stored |= {digest: read(digest) for digest in manifest.files.values()}
    members = {f"{module}/__init__.py": source.encode()}
    for digest, data in sorted(stored.items()):
        members[f"{module}/package/{digest.removeprefix('sha256:')}"] = data
    folder = f"{module}-{version}.dist-info"
    members[f"{folder}/METADATA"] = (
        f"Metadata-Version: 2.1\nName: {module}\nVersion: {version}\n"
        f"Summary: The model {manifest.name}, version {version}\nRequires-Python: >=3.11\n"
        f"Requires-Dist: {needs(manifest)}\n"
    ).encode()
    members[f"{folder}/WHEEL"] = (
        b"Wheel-Version: 1.0\nGenerator: mainspring\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    )
    return members


def _archive(members: dict[str, bytes], module: str, version: str) -> bytes:
    record = f"{module}-{version}.dist-info/RECORD"
    lines = [f"{name},sha256={_hash(data)},{len(data)}" for name, data in members.items()]
    lines.append(f"{record},,")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in {**members, record: "\n".join([*lines, ""]).encode()}.items():
            member = zipfile.ZipInfo(name, _EPOCH)
            member.external_attr = 0o644 << 16
            archive.writestr(member, data, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def _hash(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
