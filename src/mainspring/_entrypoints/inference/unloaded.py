"""What was unloaded, so that loading brings it back: ``unloaded.json`` beside the routes.

Source: Triton's model repository extension: a model that was unloaded stands in the index as
unavailable, and can be loaded again by its name.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Literal

import msgspec

from mainspring.core.errors import Broken
from mainspring.serving.routes import replace_file
from mainspring.serving.traffic import Route

UNLOADED_FILE: Final = "unloaded.json"
_LOCK: Final = "unloaded.lock"


class _Kept(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    format: Literal["mainspring-unloaded/1"] = "mainspring-unloaded/1"
    routes: dict[str, Route] = {}


class Unloaded:
    """The last routes of endpoints that were taken out of service, of all processes of a gateway."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def routes(self) -> Mapping[str, Route]:
        """Each endpoint's last route. Errors: ``serving.routes_unreadable``."""
        path = self._folder / UNLOADED_FILE
        try:
            return msgspec.json.decode(path.read_bytes(), type=_Kept).routes
        except FileNotFoundError:
            return {}
        except msgspec.MsgspecError as error:
            raise Broken(
                "serving.routes_unreadable",
                f"{UNLOADED_FILE} cannot be read: {error}",
                hint="Remove the file; endpoints that were unloaded are then deployed by hand.",
                file=str(path),
            ) from error

    def keep(self, endpoint: str, route: Route) -> None:
        """Remembers what an endpoint served."""
        with self._alone():
            self._write({**self.routes(), endpoint: route})

    def forget(self, endpoint: str) -> None:
        """The endpoint is in service again."""
        if endpoint not in self.routes():
            return
        with self._alone():
            self._write({name: one for name, one in self.routes().items() if name != endpoint})

    def _write(self, routes: dict[str, Route]) -> None:
        data = msgspec.json.format(msgspec.json.encode(_Kept(routes=routes)))
        replace_file(self._folder / UNLOADED_FILE, data, mode=0o644)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        with (self._folder / _LOCK).open("ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
