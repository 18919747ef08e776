"""Reading the settings anew without a restart: SIGHUP."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Callable

from mainspring._entrypoints._http.doors import Doors
from mainspring._entrypoints.inference.core import Core
from mainspring.core.errors import MainspringError

log = logging.getLogger("mainspring.gateway")


class Reloading:
    """On SIGHUP the routes are read again, and who gets in; what cannot be read changes nothing."""

    def __init__(self, core: Core, doors: Callable[[], Doors] | None) -> None:
        self._core = core
        self._doors = doors
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Listens to SIGHUP, which would end the process otherwise."""
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self._begin)

    def leaving(self) -> None:
        """Goes on as before."""

    async def stop(self) -> None:
        """Waits for a reload under way."""
        if self._task is not None:
            await self._task

    def _begin(self) -> None:
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._reload())

    async def _reload(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            if self._doors is not None:
                self._core.doors = await loop.run_in_executor(None, self._doors)
            await loop.run_in_executor(None, self._core.fleet.reload)
        except (MainspringError, OSError) as error:
            log.warning("the settings were not read again: %s", error)
        else:
            log.warning("the settings were read again")
