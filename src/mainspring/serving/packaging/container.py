"""Endpoints as the build context of a container: routes and packages inside, a gateway on start.

::

    Dockerfile, .dockerignore
    requirements.txt       every library, exact; with hashes when a lock was given
    wheels/                this Mainspring; wheels that are put here are preferred to an index
    model/routes.json      who answers each endpoint
    model/objects/...      the packages by content, readable by every user, never written to

The image runs ``mainspring serve`` as user 10001 and listens on 8080. That is SageMaker's contract
for own containers too: the argument ``serve``, ``/ping``, ``/invocations``, the model below
``/opt/ml/model``. It takes a read-only root with a writable ``/tmp`` and ``/var/lib/mainspring``.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

import msgspec

from mainspring import __version__
from mainspring.core.digest import Digest
from mainspring.ports.objects import Objects
from mainspring.registry.manifest import Manifest, read_manifest
from mainspring.serving.packaging.house import build_house_wheel
from mainspring.serving.packaging.needs import GATEWAY, closure, hashed, needs, pinned
from mainspring.serving.routes import write_routes
from mainspring.serving.traffic import RouteTable

PORT: Final = 8080
USER: Final = 10001
MODEL_FOLDER: Final = "/opt/ml/model"
STATE_FOLDER: Final = "/var/lib/mainspring"
# Its C library is opened directly; what its Python needs (scipy) is never imported.
_ALONE: Final = frozenset({"lightgbm"})
_HEALTH: Final = f"import urllib.request as u; u.urlopen('http://127.0.0.1:{PORT}/ping', timeout=2)"
_DOCKERFILE: Final = f"""\
ARG PYTHON=python:{sys.version_info.major}.{sys.version_info.minor}-slim
FROM ${{PYTHON}}
# Given as build arguments where there is no index, only wheels/; or where there is another one.
ARG PIP_NO_INDEX
ARG PIP_INDEX_URL
%s\
RUN useradd --system --uid {USER} --no-create-home --shell /usr/sbin/nologin mainspring \\
 && install -d -o {USER} -g {USER} -m 0700 {STATE_FOLDER}
COPY wheels /srv/wheels
COPY requirements.txt /srv/
RUN python3 -m venv /opt/mainspring \\
 && /opt/mainspring/bin/pip install --no-cache-dir --no-deps --find-links /srv/wheels \\
    --requirement /srv/requirements.txt \\
 && /opt/mainspring/bin/pip install --no-cache-dir --no-deps --no-index \\
    /srv/wheels/mainspring-{__version__}-py3-none-any.whl
ENV PATH=/opt/mainspring/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 OMP_NUM_THREADS=1
COPY model {MODEL_FOLDER}
USER {USER}:{USER}
EXPOSE {PORT}
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s CMD ["python3", "-c", "{_HEALTH}"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["mainspring"]
CMD ["serve"]
"""
_OPENMP: Final = """\
RUN ldconfig -p | grep -q 'libgomp\\.so\\.1' || (apt-get update -q \\
 && apt-get install -qy --no-install-recommends libgomp1 && rm -rf /var/lib/apt/lists/*)
"""


def build_context(
    table: RouteTable, source: Objects, target: Objects, into: Path, *, lock: str | None = None
) -> Path:
    """A folder to run ``docker build`` (or ``buildah bud``) in, with everything the routes name.

    ``target`` is an object store in ``into/model/objects``; every package of the routes is copied
    there, checked. ``lock`` is the text of a hashed requirements file. Errors:
    ``objects.not_found``, ``registry.bad_manifest``; ``serving.not_packable``,
    ``serving.not_installed``, ``serving.not_locked``.
    """
    manifests = [
        _copy(digest, source, target)
        for digest in sorted({v.model for route in table.routes.values() for v in route.variants})
    ]
    runtimes = {manifest.runtime for manifest in manifests}
    required = requirements(runtimes)
    write_routes(into / "model", msgspec.structs.replace(table, revision=1))
    (into / "wheels").mkdir()
    build_house_wheel(into / "wheels")
    lines = required if lock is None else hashed(required, lock)
    (into / "requirements.txt").write_text("\n".join([*lines, ""]))
    (into / "Dockerfile").write_text(_DOCKERFILE % (_OPENMP if "lightgbm" in runtimes else ""))
    (into / ".dockerignore").write_text("**/incoming\n**/leaving\n")
    _open_to_all(into / "model")
    return into


def requirements(runtimes: set[str]) -> list[str]:
    """What the image installs beside Mainspring itself, exact, all of it."""
    added = {name for runtime in runtimes for name in needs(runtime)}
    return pinned([*closure([*GATEWAY, *(added - _ALONE)]), *(added & _ALONE)])


def _copy(digest: Digest, source: Objects, target: Objects) -> Manifest:
    data = source.get(digest)
    manifest = read_manifest(data)
    for file in manifest.files.values():
        target.put(source.get(file))
    target.put(data)
    return manifest


def _open_to_all(folder: Path) -> None:
    """An image may be run under any user; nothing in it is secret to who has it."""
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
