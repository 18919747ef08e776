"""A model version as a wheel: ``pip install`` it, import it, call ``predict``.

It holds the package, and the source that answering takes (:mod:`.source`); it needs numpy, msgspec
and the runtime's library in the versions that it was packaged with, and no Mainspring. The same
package, packaged by the same installation, gives the same bytes.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Final

from mainspring import __version__
from mainspring.core.digest import Digest, canonical_json
from mainspring.core.errors import Invalid
from mainspring.registry.manifest import Manifest
from mainspring.serving.model import load_model
from mainspring.serving.packaging.archive import WHEEL, licence, wheel_bytes
from mainspring.serving.packaging.needs import ANSWERING, needs, pinned
from mainspring.serving.packaging.source import copied
from mainspring.serving.ports import Runtime

_VERSION = re.compile(r"[0-9]+(\.[0-9]+)*\Z")
_INSIDE: Final = "_answering"  # the package of the copied source
_ROOT: Final = "mainspring.serving.standalone"
_MODULE: Final = '''"""{title}: a model packaged by Mainspring {house}.

>>> from {module} import predict
>>> predict({{name: values, ...}})  # one sequence per input, all of one length

``signature()`` tells the inputs in order, with the categories that training knew.
"""

from importlib.resources import files

from {module}.{inside}.serving.standalone import StandaloneModel

__all__ = ["DIGEST", "VERSION", "predict", "signature"]
VERSION = "{version}"
DIGEST = "{digest}"
_folder = files(__name__) / "package"


def _read(digest):
    return (_folder / digest.removeprefix("sha256:")).read_bytes()


def _runtime():
    from {module}.{inside}.{runtime} import {kind}

    return {kind}()


_model = StandaloneModel(DIGEST, _read, _runtime)


def predict(rows):
    """``score`` per row, and ``decision`` when the model has a policy, as numpy arrays."""
    return _model.predict(rows)


def signature():
    """The inputs in order (name, type, categories), and what the output is."""
    return _model.signature
'''


def build_wheel(
    manifest: Manifest,
    read: Callable[[Digest], bytes],
    *,
    runtime: Runtime,
    version: str,
    into: Path,
) -> Path:
    """The wheel ``NAME_model-VERSION-py3-none-any.whl`` in a folder.

    ``read`` gives a stored object's bytes. The package is loaded and its golden sample replayed
    first: what is written has answered here, with the versions that are pinned.

    Errors: those of loading; ``serving.bad_wheel_version`` unless the version is digits and dots,
    ``serving.bad_wheel_name``, ``serving.not_packable``, ``serving.not_installed``.
    """
    if not _VERSION.match(version):
        raise Invalid(
            "serving.bad_wheel_version",
            f"{version[:40]!r} cannot be the version of a wheel.",
            hint="Use digits and dots, such as 3 or 3.1.",
            version=version[:40],
        )
    load_model(manifest.digest, read, {runtime.name: runtime})
    module = _module(manifest.name)
    members = _members(manifest, read, runtime, module, version)
    path = into / f"{module}-{version}-py3-none-any.whl"
    path.write_bytes(wheel_bytes(members, f"{module}-{version}.dist-info"))
    return path


def _module(name: str) -> str:
    module = f"{name.replace('-', '_')}_model"
    if not (module.isascii() and module.isidentifier()):
        raise Invalid(
            "serving.bad_wheel_name",
            f"A model called {name[:80]!r} gives no name for a Python module.",
            hint="Export it, and import it again under a name of letters, digits, '_' and '-'.",
            name=name[:80],
        )
    return module


def _members(
    manifest: Manifest,
    read: Callable[[Digest], bytes],
    runtime: Runtime,
    module: str,
    version: str,
) -> dict[str, bytes]:
    home = type(runtime).__module__
    source = _MODULE.format(
        title=f"{manifest.name} version {version}",
        house=__version__,
        module=module,
        inside=_INSIDE,
        version=version,
        digest=manifest.digest,
        runtime=home.partition(".")[2],
        kind=type(runtime).__name__,
    )
    inside = copied([_ROOT, home], f"{module}.{_INSIDE}")
    stored = {manifest.digest: canonical_json(manifest)}
    stored |= {digest: read(digest) for digest in manifest.files.values()}
    folder = f"{module}-{version}.dist-info"
    return {
        f"{module}/__init__.py": source.encode(),
        **{f"{module}/{_INSIDE}/{path}": data for path, data in inside.items()},
        **{
            f"{module}/package/{digest.removeprefix('sha256:')}": data
            for digest, data in sorted(stored.items())
        },
        f"{folder}/METADATA": _metadata(manifest, module, version),
        f"{folder}/WHEEL": WHEEL,
        f"{folder}/licenses/LICENSE": licence(),
    }


def _metadata(manifest: Manifest, module: str, version: str) -> bytes:
    required = "".join(
        f"Requires-Dist: {one}\n" for one in pinned([*ANSWERING, *needs(manifest.runtime)])
    )
    return (
        f"Metadata-Version: 2.4\nName: {module}\nVersion: {version}\n"
        f"Summary: The model {manifest.name}, version {version}\nRequires-Python: >=3.11\n"
        f"License-File: LICENSE\n{required}\n"
        f"A model packaged by Mainspring {__version__}. The source in {_INSIDE} is Mainspring's, "
        "under Apache-2.0 (LICENSE); it says nothing of the model's own terms.\n"
    ).encode()
