"""The gateway's own control addresses: deploy, remove, seal the records, look.

Only for who holds the control token, which the gateway writes into its folder, readable for its
user alone. ``PUT /control/routes/{endpoint}`` answers when the route is live.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from mainspring._entrypoints._http.messages import Response, decode_json, json_response
from mainspring._entrypoints.inference.fleet import Fleet
from mainspring._entrypoints.inference.siblings import Siblings
from mainspring._entrypoints.inference.unloaded import Unloaded
from mainspring.core.errors import Denied, NotFound
from mainspring.serving.client import TOKEN_FILE
from mainspring.serving.recorder import Recorder
from mainspring.serving.routes import replace_file
from mainspring.serving.traffic import Route, RouteTable

_route = msgspec.json.Decoder(Route)


class Control:
    """Changes what is served. Called from worker threads, because loading takes time."""

    def __init__(
        self, fleet: Fleet, recorder: Recorder, folder: Path, siblings: Siblings | None = None
    ) -> None:
        self._fleet = fleet
        self._siblings = siblings
        self._recorder = recorder
        self._token = control_token(folder).encode()
        self._unloaded = Unloaded(folder)

    def admit(self, headers: Mapping[str, str]) -> None:
        """Nothing, or an error. Errors: ``http.unauthenticated``."""
        scheme, _, secret = headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not hmac.compare_digest(
            secret.strip().encode(), self._token
        ):
            raise Denied(
                "http.unauthenticated",
                "This address needs the gateway's control token.",
                hint=f"It stands in {TOKEN_FILE} in the gateway's folder.",
            )

    def handle(self, method: str, parts: list[str], body: bytes, revision: int | None) -> Response:
        """The answer to a control request; ``parts`` is the path behind ``/control``."""
        match (method, *parts):
            case ("GET", "routes"):
                return json_response(self._fleet.table)
            case ("PUT", "routes", endpoint):
                route = decode_json(_route, body)
                return self._deployed(endpoint, route, revision)
            case ("DELETE", "routes", endpoint):
                return self._removed(endpoint)
            case ("POST", "routes", endpoint, "rollback" | "load" | "unload" as what):
                ways = {"rollback": self._rolled_back, "load": self._load, "unload": self._unload}
                return ways[what](endpoint)
            case ("POST", "routes", "reload"):
                return self._changed(self._fleet.reload())
            case ("POST", "records", "seal") | ("GET", "records"):
                if method == "POST":
                    self._recorder.seal()
                    self._ask("seal")
                return json_response(self.records())
        raise NotFound(
            "http.no_such_address",
            f"There is nothing at {method[:20]} /control/{'/'.join(parts)[:200]}.",
            hint="There are /control/routes and /control/records.",
        )

    def records(self) -> dict[str, int]:
        """How many rows were stored and lost since the start, in all processes."""
        all_records = [self.own_records(), *self._ask("records")]
        return {name: sum(one[name] for one in all_records) for name in all_records[0]}

    def own_records(self) -> dict[str, int]:
        """How many rows this process stored and lost since its start."""
        return {
            "stored_rows": self._recorder.stored_rows,
            "lost_rows": self._recorder.lost_rows,
        }

    def unloaded(self) -> dict[str, Route]:
        """The last routes of endpoints that are out of service. Safe from any thread."""
        served = self._fleet.table.routes
        return {
            name: route for name, route in self._unloaded.routes().items() if name not in served
        }

    def _deployed(self, endpoint: str, route: Route, revision: int | None = None) -> Response:
        table = self._fleet.deploy(endpoint, route, revision=revision)
        self._unloaded.forget(endpoint)
        return self._changed(table)

    def _removed(self, endpoint: str) -> Response:
        """Takes an endpoint out of service for good, also where it was unloaded before."""
        if endpoint in self.unloaded():
            self._unloaded.forget(endpoint)
            return json_response(self._fleet.table)
        return self._changed(self._fleet.remove(endpoint))

    def _rolled_back(self, endpoint: str) -> Response:
        return self._changed(self._fleet.roll_back(endpoint))

    def _unload(self, endpoint: str) -> Response:
        """Takes an endpoint out of service; loading brings it back."""
        self._unloaded.keep(endpoint, self._fleet.table.route(endpoint))
        return self._changed(self._fleet.remove(endpoint))

    def _load(self, endpoint: str) -> Response:
        """Brings back what was unloaded; for what is in service the routes are read again."""
        table = self._fleet.reload()
        if endpoint in table.routes:
            return self._changed(table)
        before = self._unloaded.routes().get(endpoint)
        if before is None:
            raise NotFound(
                "serving.endpoint_not_found",
                f"No endpoint is called {endpoint[:80]!r}, and none of that name was unloaded.",
                hint="Deploy a version: mainspring endpoints deploy NAME.",
                endpoint=endpoint[:80],
            )
        return self._deployed(endpoint, before)

    def _changed(self, table: RouteTable) -> Response:
        """Answers a change once it is in service in every process behind the port."""
        self._ask("reload")
        return json_response(table)

    def _ask(self, word: str) -> list[Any]:
        return self._siblings.ask(word) if self._siblings is not None else []


def control_token(folder: Path) -> str:
    """The folder's control token, made and stored (0600) on first use."""
    path = folder / TOKEN_FILE
    try:
        if path.stat().st_mode & 0o077:
            path.chmod(0o600)
        token = path.read_text().strip()
    except FileNotFoundError:
        token = ""
    if not token:
        token = secrets.token_urlsafe(32)
        replace_file(path, token.encode(), mode=0o600)
        path.chmod(0o600)  # whatever the umask says
    return token
