"""The gateway of a workspace whether it runs or not: routes, records, control."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from mainspring._bootstrap.folder import SERVING_FOLDER
from mainspring.core.errors import MainspringError, Unavailable
from mainspring.serving.client import LOCK_FILE, RECORDS_FOLDER, GatewayClient, GatewayControl
from mainspring.serving.model import load_model
from mainspring.serving.routes import read_routes, write_routes
from mainspring.serving.shipping import ship
from mainspring.serving.traffic import Route, RouteTable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mainspring._bootstrap.workspace import Workspace
    from mainspring.ports.tables import Frame

S = TypeVar("S")
T = TypeVar("T")
_AWAY: Final = "serving.gateway_away"
_START_SECONDS: Final = 60.0


class FolderGateway:
    """The endpoints of a workspace (:class:`mainspring.projects.production.Gateway`).

    While a gateway runs, changes go through it. Else they are written where it finds them at its
    start, with the models checked as it would; nobody else can change them meanwhile.
    """

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._folder = workspace.folder / SERVING_FOLDER

    @property
    def url(self) -> str | None:
        """Where the gateway answers; None while it does not run."""
        return self._through(lambda control: (control.routes(), control.url)[1], lambda: None)

    def routes(self) -> RouteTable:
        """What is served, or will be when the gateway starts."""
        return self._through(lambda control: control.routes(), lambda: read_routes(self._folder))

    def deploy(self, endpoint: str, route: Route) -> None:
        """The route is live when this returns, or will be when the gateway starts."""

        def written() -> None:
            from mainspring._bootstrap.workspace import runtimes

            known = runtimes(self._workspace.settings)
            for variant in route.variants:
                load_model(variant.model, self._workspace.objects.get, known)
            table = read_routes(self._folder)
            if table.routes.get(endpoint) != route:
                write_routes(self._folder, table.with_route(endpoint, route))

        self._through(lambda control: control.deploy(endpoint, route), written, changes=True)

    def roll_back(self, endpoint: str) -> Route:
        """The route before the last change, live again. Errors: ``serving.nothing_before``."""

        def written() -> RouteTable:
            table = read_routes(self._folder).rolled_back(endpoint)
            write_routes(self._folder, table)
            return table

        def asked(control: GatewayControl) -> RouteTable:
            return control.roll_back(endpoint)

        return self._through(asked, written, changes=True).route(endpoint)

    def remove(self, endpoint: str) -> None:
        """Takes an endpoint out of service. Errors: ``serving.endpoint_not_found``."""
        self.routes().route(endpoint)
        self._through(
            lambda control: control.remove(endpoint),
            lambda: write_routes(self._folder, read_routes(self._folder).without(endpoint)),
            changes=True,
        )

    def predict(
        self,
        endpoint: str,
        rows: Frame,
        *,
        ids: list[str],
        entity: list[str],
        event_times: NDArray[np.datetime64],
    ) -> Mapping[str, NDArray[Any]]:
        """The answers, once their records are durable. Errors: ``serving.gateway_away``."""
        control = GatewayControl(self._folder)
        control.close()
        client = GatewayClient(control.url, token=str(self._workspace.setting("token")) or None)
        try:
            return client.predict(
                endpoint, rows, ids=ids, entity=entity, event_times=event_times, durable=True
            )
        finally:
            client.close()

    def ship(self) -> int:
        """Moves every record so far into the prediction table; how many rows."""
        self._through(lambda control: control.seal_records(), lambda: None)
        records = self._folder / RECORDS_FOLDER
        return ship(records, self._workspace.tables).rows if records.is_dir() else 0

    # -- inside -------------------------------------------------------------------------------

    def _through(
        self,
        live: Callable[[GatewayControl], S],
        still: Callable[[], T],
        *,
        changes: bool = False,
    ) -> S | T:
        """What the running gateway says; without one, what the folder says."""
        deadline = time.monotonic() + _START_SECONDS
        while True:
            try:
                control = GatewayControl(self._folder)
                try:
                    return live(control)
                finally:
                    control.close()
            except MainspringError as error:
                if error.code != _AWAY:
                    raise
            if not changes:
                return still()
            with _alone(self._folder) as alone:
                if alone:
                    return still()
            # One is starting or ending: it will answer, or let go, in a moment.
            if time.monotonic() > deadline:
                raise Unavailable(
                    _AWAY,
                    f"A gateway holds {self._folder}, but does not answer.",
                    hint="See whether it still starts; else stop it and try again.",
                )
            time.sleep(0.05)


@contextmanager
def _alone(folder: Path) -> Iterator[bool]:
    """Holds the folder as a gateway does, for the length of the block; False when one has it."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK_FILE).open("ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
