"""The processes behind one port, and how they speak with each other.

Each process answers its siblings on a socket in a folder that only their user may enter: a word in,
a document out. So a change of the routes that one process took is in service in all of them before
it is answered, and each can tell the counts of all.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import msgspec

from mainspring.core.errors import Broken, MainspringError

SOCKET_SUFFIX: Final = ".socket"
_ANSWER_SECONDS: Final = 60.0
_MOST_ANSWER_BYTES: Final = 64 << 20


class Siblings:
    """This process's socket, and its way to the others'.

    ``words`` are what it may be asked: on a thread, but those of ``quick`` on the event loop.
    """

    def __init__(self, folder: Path) -> None:
        self.words: Mapping[str, Callable[[], Any]] = {}
        self.quick: Mapping[str, Callable[[], Any]] = {}
        self._folder = folder
        self._own = folder / f"{os.getpid()}{SOCKET_SUFFIX}"
        self._server: asyncio.Server | None = None
        # A thread of its own: the others may all be waiting for siblings that wait for us.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="sibling")

    async def start(self) -> None:
        """Listens under a name that nobody asks yet."""
        self._server = await asyncio.start_unix_server(self._answer, self._own.with_suffix(""))

    def join(self) -> None:
        """From now on this process is one of those that are asked."""
        self._own.with_suffix("").rename(self._own)

    def leaving(self) -> None:
        """Nothing: a process that leaves is still asked for what it counted."""

    async def stop(self) -> None:
        """Is no longer asked."""
        self._own.unlink(missing_ok=True)
        if self._server is not None:
            self._server.close()
        self._thread.shutdown(wait=False)

    def ask(self, word: str) -> list[Any]:
        """What each other process answers; one that is gone meanwhile is left out.

        Errors: ``serving.sibling_failed``. Concurrency: blocks; call it on a thread.
        """
        sockets = [path for path in self._folder.glob(f"*{SOCKET_SUFFIX}") if path != self._own]
        answers = [_ask(path, word) for path in sorted(sockets)]
        return [answer for answer in answers if answer is not None]

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            word = (await reader.readline()).decode().strip()
            if word in self.quick:
                said = {"answer": self.quick[word]()}
            else:
                loop = asyncio.get_running_loop()
                said = await loop.run_in_executor(self._thread, self._said, word)
            writer.write(msgspec.json.encode(said))
            await writer.drain()
        except ConnectionError:
            pass  # who asked has ended
        finally:
            writer.close()

    def _said(self, word: str) -> dict[str, Any]:
        try:
            return {"answer": self.words[word]()}
        except MainspringError as error:
            return {"error": f"{error.code}: {error}"}


def _ask(path: Path, word: str) -> Any:
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as one:
            one.settimeout(_ANSWER_SECONDS)
            one.connect(str(path))
            one.sendall(f"{word}\n".encode())
            data = bytearray()
            while (chunk := one.recv(1 << 16)) and len(data) < _MOST_ANSWER_BYTES:
                data += chunk
    except TimeoutError as error:
        raise _failed("it does not answer") from error
    except OSError:
        return None  # the process ended; its successor reads everything anew
    if not data:
        return None
    said = msgspec.json.decode(bytes(data))
    if "error" in said:
        raise _failed(said["error"])
    return said["answer"]


def _failed(why: str) -> Broken:
    return Broken(
        "serving.sibling_failed",
        f"Another process of this gateway could not follow: {why}.",
        hint="Repeat the change; if it fails again, restart the gateway.",
    )
