"""Large artifacts on the MLflow wire: uploads in parts, and addresses for downloads in ranges.

The reference hands out addresses of a cloud's store; ours point back at this server, with the
caller's own credentials, since its client sends none to such an address by itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

import msgspec

from mainspring._entrypoints._http import Request, Response, Route
from mainspring._entrypoints.mlflow.reading import body, need
from mainspring._entrypoints.mlflow.routing import LARGE_BODY_BYTES, RUNS_READ, RUNS_WRITE, both
from mainspring._entrypoints.mlflow.writing import answer, empty
from mainspring.core.errors import Invalid
from mainspring.tracking import Tracking
from mainspring.tracking.artifacts import check_path

MAX_PART_BYTES: Final = 5 << 30
_ROOT: Final = "/2.0/mlflow-artifacts"


class _Begin(msgspec.Struct):
    path: str | None = None
    num_parts: int | None = None


class _Part(msgspec.Struct):
    part_number: int = 0
    etag: str | None = None


class _End(msgspec.Struct):
    path: str | None = None
    upload_id: str | None = None
    parts: list[_Part] | None = None


@dataclass(frozen=True, slots=True)
class MultipartRoutes:
    """The handlers of ``mlflow-artifacts/mpu/...`` and ``mlflow-artifacts/presigned/...``."""

    tracking: Tracking

    def routes(self) -> list[Route]:
        large: dict[str, Any] = {"body_limit_bytes": LARGE_BODY_BYTES}
        streams: dict[str, Any] = {"streams": True, "body_limit_bytes": MAX_PART_BYTES}
        found = both(
            "PUT", f"{_ROOT}/mpu/part/{{upload_id}}/{{number}}", self.put, RUNS_WRITE, **streams
        )
        for verb, handler, options in (
            ("create", self.begin, {}),
            ("complete", self.complete, large),
            ("abort", self.abort, {}),
        ):
            for tail in ("", "/{folder*}"):
                found += both("POST", f"{_ROOT}/mpu/{verb}{tail}", handler, RUNS_WRITE, **options)
        found += both("GET", f"{_ROOT}/presigned/{{path*}}", self.presigned, RUNS_READ)
        for what, permission in (("upload", RUNS_WRITE), ("download", RUNS_READ)):
            url = f"/2.0/mlflow/artifacts/presigned-{what}-url"
            found += both("POST", url, _not_direct, permission)
        return found

    def begin(self, request: Request) -> Response:
        asked = body(request, _Begin)
        upload = self.tracking.uploads.begin(_path(request, asked.path), asked.num_parts or 1)
        base = f"{_here(request)}/api{_ROOT}/mpu/part/{upload.id}"
        credentials = [
            {"url": f"{base}/{number}", "part_number": number, "headers": _credentials(request)}
            for number in range(1, upload.parts + 1)
        ]
        return answer({"upload_id": upload.id, "credentials": credentials})

    def put(self, request: Request) -> Response:
        number = request.params["number"]
        if not (number.isascii() and number.isdigit() and len(number) <= 6):  # noqa: PLR2004
            raise Invalid("http.bad_part", f"{number[:40]!r} is not the number of a part.")
        part = self.tracking.uploads.put(request.params["upload_id"], int(number), request.chunks)
        made = empty()
        return Response(200, [*made.headers, ("etag", f'"{part.digest}"')], made.body)

    def complete(self, request: Request) -> Response:
        asked = body(request, _End)
        named = [(part.part_number, (part.etag or "").strip('"')) for part in asked.parts or ()]
        upload_id = need(asked.upload_id, "upload_id")
        self.tracking.uploads.complete(upload_id, _path(request, asked.path), named)
        return empty()

    def abort(self, request: Request) -> Response:
        asked = body(request, _End)
        upload_id = need(asked.upload_id, "upload_id")
        self.tracking.uploads.abort(upload_id, _path(request, asked.path))
        return empty()

    def presigned(self, request: Request) -> Response:
        path = request.params["path"]
        found = self.tracking.artifacts.find(path)
        url = f"{_here(request)}/api{_ROOT}/artifacts/{quote(path)}"
        headers = _credentials(request)
        return answer({"url": url, "headers": headers, "file_size": found.size_bytes})


def _not_direct(_request: Request) -> Response:
    """What clients ask who would go around the server: nothing lies where they could go."""
    raise Invalid(
        "http.artifacts_are_proxied",
        "Artifacts of this server go through it, so there is no other address to sign.",
        hint="Use the mlflow-artifacts addresses; MLflow's client does by itself.",
    )


def _path(request: Request, file: str | None) -> str:
    """Where the file goes: the folder in the address, and the name of what lies at the sender's."""
    name = need(file, "path").replace("\\", "/").rpartition("/")[2]
    folder = request.params.get("folder", "").strip("/")
    return check_path(f"{folder}/{name}" if folder else name)


def _here(request: Request) -> str:
    """This server as the caller reached it; the doors have checked the name."""
    scheme = "https" if request.headers.get("x-forwarded-proto") == "https" else "http"
    return f"{scheme}://{request.headers['host']}"


def _credentials(request: Request) -> dict[str, str]:
    found = request.headers.get("authorization")
    return {"Authorization": found} if found else {}
