"""Endpoints as the build context of a container: routes and packages inside, a gateway on start.

The image needs nothing at run time but a token in ``MAINSPRING_TOKEN`` (others can reach its
port). It serves on 8080 what a gateway serves everywhere, ``/ping`` and ``/invocations`` among it,
which is the contract of SageMaker's own containers too.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

from mainspring.core.digest import Digest
from mainspring.ports.objects import Objects
from mainspring.registry.manifest import Manifest, read_manifest
from mainspring.serving.packaging.needs import needs
from mainspring.serving.routes import write_routes
from mainspring.serving.traffic import RouteTable

PORT: Final = 8080
_HEALTH: Final = f"import urllib.request as u; u.urlopen('http://127.0.0.1:{PORT}/ping', timeout=2)"
_DOCKERFILE: Final = f"""\
ARG PYTHON=python:3.11-slim
FROM ${{PYTHON}}
ENV PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1 OMP_NUM_THREADS=1
RUN useradd --system --uid 10001 --create-home mainspring
COPY requirements.txt /srv/
RUN pip install --requirement /srv/requirements.txt
COPY --chown=10001:10001 workspace /srv/workspace
USER 10001
EXPOSE {PORT}
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s CMD ["python", "-c", "{_HEALTH}"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["mainspring", "--workspace", "/srv/workspace", "gateway"]
CMD ["--host", "0.0.0.0", "--port", "{PORT}"]
"""


def build_context(table: RouteTable, source: Objects, target: Objects, into: Path) -> Path:
    """A folder to run ``docker build`` (or ``buildah bud``) in, with everything the routes name.

    ``target`` is an object store in ``into/workspace/objects``; every package of the routes is
    copied there, checked. Errors: ``objects.not_found``, ``registry.bad_manifest``.
    """
    manifests = [
        _copy(digest, source, target)
        for digest in sorted({v.model for route in table.routes.values() for v in route.variants})
    ]
    serving = into / "workspace" / "serving"
    serving.mkdir(parents=True, exist_ok=True)
    write_routes(serving, msgspec.structs.replace(table, revision=1))
    requirements = sorted({needs(manifest) for manifest in manifests})
    (into / "requirements.txt").write_text("\n".join([*requirements, ""]))
    (into / "Dockerfile").write_text(_DOCKERFILE)
    (into / ".dockerignore").write_text("**/*.lock\n**/control.token\n**/gateway.json\n")
    return into


def _copy(digest: Digest, source: Objects, target: Objects) -> Manifest:
    data = source.get(digest)
    manifest = read_manifest(data)
    for file in manifest.files.values():
        target.put(source.get(file))
    target.put(data)
    return manifest
