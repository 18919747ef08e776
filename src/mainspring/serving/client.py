"""Talking to a gateway: predictions over binary tensors, and control from the same machine.

A :class:`GatewayClient` keeps one connection open; use one per thread.
"""

from __future__ import annotations

import http.client
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlsplit

import msgspec

from mainspring.core.errors import (
    Broken,
    Conflict,
    Denied,
    Invalid,
    MainspringError,
    NotFound,
    TimedOut,
    Unavailable,
)
from mainspring.serving.traffic import Route, RouteTable

if TYPE_CHECKING:
    from datetime import datetime

    import numpy as np
    from numpy.typing import NDArray

    from mainspring.ports.tables import Frame

TOKEN_FILE: Final = "control.token"  # noqa: S105 - a file's name
ADDRESS_FILE: Final = "gateway.json"
LOCK_FILE: Final = "gateway.lock"  # held by whoever may change the folder's routes
RECORDS_FOLDER: Final = "records"
CAPACITY_FOLDER: Final = "capacity"  # what is taken of it, for all processes
_JSON_LENGTH: Final = "Inference-Header-Content-Length"
_TRIES: Final = 5
_FIRST_PAUSE_SECONDS: Final = 0.05
_OK: Final = 200
_LOST: Final = (ConnectionError, http.client.BadStatusLine, http.client.IncompleteRead)
_BY_STATUS: Final[Mapping[int, type[MainspringError]]] = {
    401: Denied, 403: Denied, 404: NotFound, 409: Conflict, 503: Unavailable, 504: TimedOut,
}  # fmt: skip
_SERVER_ERROR: Final = 500


class _Connection:
    """One kept-alive HTTP connection that reconnects when it is found dead."""

    def __init__(self, url: str, timeout_seconds: float) -> None:
        parts = urlsplit(url)
        if parts.scheme != "http" or parts.hostname is None:
            raise Invalid(
                "serving.bad_address",
                f"{url[:200]!r} is not the address of a gateway.",
                hint="Give it as http://HOST:PORT.",
            )
        self._http = http.client.HTTPConnection(
            parts.hostname, parts.port or 80, timeout=timeout_seconds
        )
        self._place = parts.path.rstrip("/")  # where another application has it mounted

    def request(
        self, method: str, path: str, body: bytes, headers: Mapping[str, str], *, again: bool
    ) -> tuple[http.client.HTTPResponse, bytes]:
        """The response with its body. ``again``: sending it twice does no harm."""
        pause = _FIRST_PAUSE_SECONDS
        for left in reversed(range(_TRIES)):
            try:
                self._http.request(method, self._place + path, body, dict(headers))
                response = self._http.getresponse()
                return response, response.read()
            except TimeoutError as error:
                self._http.close()
                raise TimedOut(
                    "serving.gateway_timed_out",
                    "The gateway did not answer in time.",
                    hint="Look at its log and at /metrics.",
                ) from error
            except _LOST as error:
                self._http.close()
                if left == 0 or not (again or isinstance(error, ConnectionRefusedError)):
                    raise Unavailable(
                        "serving.gateway_away",
                        "The gateway cannot be reached.",
                        hint="Start it with: mainspring gateway.",
                    ) from error
            time.sleep(pause)
            pause *= 2
        raise AssertionError  # the last try returns or raises

    def close(self) -> None:
        self._http.close()


class GatewayClient:
    """Predicts through a gateway. Not safe to share between threads."""

    def __init__(
        self, url: str, *, token: str | None = None, timeout_seconds: float = 60.0
    ) -> None:
        self._connection = _Connection(url, timeout_seconds)
        self._authorization = {"Authorization": f"Bearer {token}"} if token else {}

    def predict(
        self,
        endpoint: str,
        rows: Frame,
        *,
        ids: Sequence[str] | None = None,
        entity: Sequence[str] | None = None,
        event_times: NDArray[np.datetime64] | None = None,
        durable: bool = False,
        variant: str | None = None,
    ) -> dict[str, NDArray[Any]]:
        """The answer to each row: ``score``, ``decision``, ``version``, ``variant``, ``role``.

        ``rows`` holds the model's inputs: float64 numbers (NaN is missing) and object columns of
        ``str`` (or None). With ``ids`` the request is repeated when the connection breaks: a
        prediction with the same id counts once. ``durable``: the answer comes when its records
        are synced to the gateway's disk. ``decision`` is there when the model has a policy.
        Errors: what the gateway says, by kind; ``serving.gateway_away``,
        ``serving.gateway_timed_out``.
        """
        parameters: dict[str, Any] = {"binary_data_output": True, "durable": durable}
        if ids is not None:
            parameters["prediction_ids"] = list(ids)
        if entity is not None:
            parameters["entity"] = list(entity)
        if event_times is not None:
            times = event_times.astype("datetime64[us]").view("int64")
            parameters["event_time"] = times.tolist()
        head, body = _encode(rows, parameters)
        headers = {
            "Content-Type": "application/octet-stream",
            _JSON_LENGTH: str(head),
            **self._authorization,
            **({"X-Mainspring-Variant": variant} if variant else {}),
        }
        path = f"/v2/models/{quote(endpoint, safe='')}/infer"
        response, data = self._connection.request(
            "POST", path, body, headers, again=ids is not None
        )
        if response.status != _OK:
            raise _error(response.status, data)
        return _decode(response, data)

    def report(
        self,
        endpoint: str,
        outcomes: Sequence[float | bool],
        *,
        ids: Sequence[str] | None = None,
        entities: Sequence[str] | None = None,
        known_at: Sequence[datetime] | None = None,
    ) -> None:
        """Tells what became of predictions, by their ids or entities; on disk when this returns.

        ``known_at`` are moments with a zone; without it the outcomes are known since now.
        Errors: ``serving.bad_outcome`` and what else the gateway says; ``serving.gateway_away``.
        """
        keys, name = (ids, "prediction_id") if ids is not None else (entities, "entity")
        moments = known_at if known_at is not None else [None] * len(outcomes)
        rows = [
            {name: key, "outcome": outcome} | ({} if moment is None else {"known_at": moment})
            for key, outcome, moment in zip(keys or (), outcomes, moments, strict=True)
        ]
        response, data = self._connection.request(
            "POST",
            f"/endpoints/{quote(endpoint, safe='')}/outcomes",
            msgspec.json.encode({"outcomes": rows}),
            {"Content-Type": "application/json", **self._authorization},
            again=known_at is not None,
        )
        if response.status != _OK:
            raise _error(response.status, data)

    def close(self) -> None:
        """Closes the connection."""
        self._connection.close()


class GatewayControl:
    """Deploys to the gateway of a folder (``WORKSPACE/serving``) on this machine."""

    def __init__(self, folder: Path, *, timeout_seconds: float = 120.0) -> None:
        try:
            self.url: str = msgspec.json.decode((folder / ADDRESS_FILE).read_bytes())["url"]
            token = (folder / TOKEN_FILE).read_text().strip()
        except FileNotFoundError as error:
            raise Unavailable(
                "serving.gateway_away",
                f"No gateway is running for {folder}.",
                hint="Start it with: mainspring gateway.",
            ) from error
        self._connection = _Connection(self.url, timeout_seconds)
        self._headers = {"Authorization": f"Bearer {token}"}

    def deploy(self, endpoint: str, route: Route, *, revision: int | None = None) -> RouteTable:
        """The routes in service once this one is live: loaded, checked, stored, swapped in.

        Deploying what is live already changes nothing. Errors: those of loading a package
        (``serving.package_corrupt``, ``serving.golden_differs``, ...), ``serving.bad_route``,
        ``serving.revision_conflict``.
        """
        headers = {} if revision is None else {"If-Match": f'"{revision}"'}
        data = self._ask("PUT", _route_path(endpoint), msgspec.json.encode(route), headers)
        return msgspec.json.decode(data, type=RouteTable)

    def roll_back(self, endpoint: str) -> RouteTable:
        """The routes in service once the endpoint's route before its last change is live again.

        Errors: ``serving.nothing_before``.
        """
        path = f"{_route_path(endpoint)}/rollback"
        return msgspec.json.decode(self._ask("POST", path, again=False), type=RouteTable)

    def remove(self, endpoint: str) -> RouteTable:
        """The routes in service without the endpoint."""
        return msgspec.json.decode(self._ask("DELETE", _route_path(endpoint)), type=RouteTable)

    def routes(self) -> RouteTable:
        """The routes in service."""
        return msgspec.json.decode(self._ask("GET", "/control/routes"), type=RouteTable)

    def seal_records(self) -> None:
        """Makes every prediction answered so far ready to ship."""
        self._ask("POST", "/control/records/seal")

    def close(self) -> None:
        """Closes the connection."""
        self._connection.close()

    def _ask(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        *,
        again: bool = True,
    ) -> bytes:
        sent = {**self._headers, "Content-Type": "application/json", **(headers or {})}
        response, data = self._connection.request(method, path, body, sent, again=again)
        if response.status != _OK:
            raise _error(response.status, data)
        return data


def _route_path(endpoint: str) -> str:
    return f"/control/routes/{quote(endpoint, safe='')}"


def _encode(rows: Frame, parameters: Mapping[str, Any]) -> tuple[int, bytes]:
    tensors, parts = [], []
    for name, column in rows.items():
        tensor: dict[str, Any] = {"name": name, "shape": [len(column)]}
        if column.dtype.kind == "O":
            values = column.tolist()
            nulls = [row for row, value in enumerate(values) if value is None]
            data = _texts(values)
            tensor["datatype"] = "BYTES"
            tensor["parameters"] = {"binary_data_size": len(data)}
            if nulls:
                tensor["parameters"]["nulls"] = nulls
        else:
            data = column.astype("<f8", copy=False).tobytes()
            tensor["datatype"] = "FP64"
            tensor["parameters"] = {"binary_data_size": len(data)}
        tensors.append(tensor)
        parts.append(data)
    head = msgspec.json.encode({"inputs": tensors, "parameters": parameters})
    return len(head), b"".join([head, *parts])


def _texts(values: Sequence[str | None]) -> bytes:
    parts: list[bytes] = []
    for value in values:
        data = value.encode() if value else b""
        parts += (len(data).to_bytes(4, "little"), data)
    return b"".join(parts)


def _decode(response: http.client.HTTPResponse, data: bytes) -> dict[str, NDArray[Any]]:
    text = response.getheader(_JSON_LENGTH)
    length = len(data) if text is None else int(text)
    head = msgspec.json.decode(data[:length])
    at = length
    columns: dict[str, NDArray[Any]] = {}
    for tensor in head["outputs"]:
        rows, size = tensor["shape"][0], tensor["parameters"]["binary_data_size"]
        columns[tensor["name"]] = _column(tensor["datatype"], data[at : at + size], rows)
        at += size
    rows = len(columns["score"])
    columns["version"] = columns.pop("model_version", _same(head["model_version"], rows))
    for name in ("variant", "role"):
        if name not in columns:
            columns[name] = _same(head["parameters"].get(name, ""), rows)
    return columns


def _column(datatype: str, data: bytes, rows: int) -> NDArray[Any]:
    import numpy as np  # asking where a gateway is needs none

    if datatype == "FP64":
        return np.frombuffer(data, dtype="<f8")
    if datatype == "BOOL":
        return np.frombuffer(data, dtype=np.bool_)
    column = np.empty(rows, dtype=object)
    at = 0
    for row in range(rows):
        length = int.from_bytes(data[at : at + 4], "little")
        column[row] = data[at + 4 : at + 4 + length].decode()
        at += 4 + length
    return column


def _same(value: str, rows: int) -> NDArray[Any]:
    import numpy as np

    column = np.empty(rows, dtype=object)
    column[:] = value
    return column


def _error(status: int, data: bytes) -> MainspringError:
    code, message, hint = "serving.gateway_error", f"The gateway answered {status}.", ""
    try:
        said = msgspec.json.decode(data)
        if "error" in said:
            code, _, message = said["error"].partition(": ")
        else:
            code, message, hint = said["code"], said["message"], said.get("hint", "")
    except (msgspec.MsgspecError, KeyError, TypeError, UnicodeDecodeError):
        hint = "Is it a gateway that answers there?"
    kind = _BY_STATUS.get(status, Invalid if status < _SERVER_ERROR else Broken)
    return kind(code, message, hint=hint, status=status)
