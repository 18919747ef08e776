"""Bodies packed and unpacked: gzip as everywhere, and deflate, which Triton's clients offer."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from collections.abc import Mapping
from typing import Any, Final

from mainspring._entrypoints._http import bodies
from mainspring._entrypoints._http.messages import Response
from mainspring._entrypoints.inference.turns import HEAVY_BYTES, Turns
from mainspring.core.errors import Invalid, Unavailable

BODY_LIMIT_BYTES: Final = 64 << 20
_BUDGET_BYTES: Final = 512 << 20
_BODY_SECONDS: Final = 30.0
# A body of this length counts for nothing: as many as there may be connections fit into 256 MiB.
_UNCOUNTED_BYTES: Final = 16 << 10
_PACK_FROM_BYTES: Final = 1024
# The window sizes by which zlib knows a gzip header, and a zlib one (HTTP calls it deflate).
_WINDOWS: Final = {"gzip": 31, "deflate": 15}
_NEVER: Final = frozenset({"q=0", "q=0.", "q=0.0", "q=0.00", "q=0.000"})


class Intake:
    """Reads bodies; all that are on their way together have a budget, and each has a time.

    What has come counts, not what was announced: who announces much and sends little holds
    nothing that others need. Heavy bodies are handed out one after the other
    (:class:`mainspring._entrypoints.inference.turns.Turns`).
    """

    def __init__(
        self, *, budget_bytes: int = _BUDGET_BYTES, body_seconds: float = _BODY_SECONDS
    ) -> None:
        self._left_bytes = budget_bytes
        self._body_seconds = body_seconds
        self._turns = Turns()

    async def read(self, incoming: bodies.Incoming, headers: dict[str, str]) -> bytes:
        """The whole body, unpacked; memory is bounded whatever is sent.

        Errors: those of :func:`mainspring._entrypoints._http.bodies.read`; ``serving.busy`` when
        too much is on its way already; ``http.too_slow``, ``http.torn_body``.
        """
        length = bodies.declared_length(headers)
        packing = _coding(headers.get("content-encoding", ""))
        if length is not None and length > BODY_LIMIT_BYTES:
            raise _too_large()
        if packing != "identity" and packing not in _WINDOWS:
            raise _unknown(packing)
        held = _Held(self)
        try:
            body = await self._whole(incoming, length, held)
            if packing != "identity" and body:
                return await self._unpack(body, packing, held)
            if len(body) > HEAVY_BYTES:
                async with self._turns.turn() as turn:
                    turn.size_bytes = _dear_bytes(headers, len(body))
            else:
                self._turns.light()
            return body
        finally:
            self._left_bytes += held.bytes

    def light(self) -> None:
        """Tells that a light body was read elsewhere."""
        self._turns.light()

    def hold(self, held: _Held, count: int) -> None:
        """Takes memory from the budget. Errors: ``serving.busy``."""
        if count > self._left_bytes:
            raise Unavailable(
                "serving.busy",
                "Too many large bodies are on their way.",
                hint="Send the request again in a moment, or fewer rows at once.",
            )
        self._left_bytes -= count
        held.bytes += count

    async def _whole(self, incoming: bodies.Incoming, length: int | None, held: _Held) -> bytes:
        try:
            async with asyncio.timeout(self._body_seconds):
                if length is not None and length <= _UNCOUNTED_BYTES:
                    return bytes(await incoming()) if length else b""
                return await held.gather(incoming, length)
        except TimeoutError as error:
            raise _bad("http.too_slow", "The body did not arrive in time.") from error

    async def _unpack(self, body: bytes, packing: str, held: _Held) -> bytes:
        unpacker = zlib.decompressobj(_WINDOWS[packing])
        plain = _unpacked(unpacker, body, HEAVY_BYTES)
        if not unpacker.unconsumed_tail:
            self._turns.light()
            return _ended(unpacker, plain)
        # How long it becomes is not known: meanwhile it holds what the longest needs.
        self.hold(held, BODY_LIMIT_BYTES)
        async with self._turns.turn() as turn:
            tail, room = unpacker.unconsumed_tail, BODY_LIMIT_BYTES + 1 - len(plain)
            loop = asyncio.get_running_loop()
            rest = await loop.run_in_executor(None, _unpacked, unpacker, tail, room)
            turn.size_bytes = len(plain) + len(rest)
        if len(rest) == room:
            raise _too_large()
        return _ended(unpacker, plain + rest)


class _Held:
    """What one body holds of the budget."""

    def __init__(self, intake: Intake) -> None:
        self._intake = intake
        self.bytes = 0

    async def gather(self, incoming: bodies.Incoming, length: int | None) -> bytes:
        parts = []
        async for chunk in incoming:
            if self.bytes + len(chunk) > BODY_LIMIT_BYTES:
                raise _too_large()
            self._intake.hold(self, len(chunk))
            parts.append(bytes(chunk))
        if length is not None and self.bytes != length:
            raise _bad("http.torn_body", "The body ended before it was whole.")
        return b"".join(parts)


def _dear_bytes(headers: Mapping[str, str], size: int) -> int:
    """The part of a body that is read as JSON; raw tensors behind it cost a tenth."""
    text = headers.get("inference-header-content-length", "")
    head = int(text) if text.isascii() and text.isdigit() and len(text) < 12 else size  # noqa: PLR2004
    return min(head, size) + max(0, size - head) // 10


def pack(response: Response, headers: Mapping[str, str]) -> Response:
    """The response as the caller takes it: packed when it is long and that is wanted."""
    wanted, body = headers.get("accept-encoding"), response.body
    if wanted is None or not isinstance(body, bytes) or len(body) < _PACK_FROM_BYTES:
        return response
    taken = _taken(wanted)
    if "gzip" in taken:
        packed, name = gzip.compress(body, compresslevel=1, mtime=0), "gzip"
    elif "deflate" in taken:
        packed, name = zlib.compress(body, 1), "deflate"
    else:
        return response
    return Response(response.status, [*response.headers, ("content-encoding", name)], packed)


def _coding(name: str) -> str:
    """A content coding by the name we know it by (RFC 9110, section 8.4.1)."""
    name = name.strip().lower()
    return {"": "identity", "x-gzip": "gzip"}.get(name, name)


def _taken(accepted: str) -> set[str]:
    """The codings that an ``Accept-Encoding`` takes; a weight of nought refuses one."""
    taken = set()
    for part in accepted.split(","):
        name, _, weight = part.partition(";")
        if weight.replace(" ", "").lower() not in _NEVER:
            taken.add(_coding(name))
    return taken


def _ended(unpacker: Any, plain: bytes) -> bytes:
    if not unpacker.eof:
        raise _bad("http.bad_body", "The packed body ends too early.")
    return plain


def _unpacked(unpacker: Any, body: bytes, most: int) -> bytes:
    try:
        return bytes(unpacker.decompress(body, most))
    except zlib.error as error:
        raise _bad("http.bad_body", "The body is not what its encoding says.") from error


def _too_large() -> Invalid:
    return _bad("http.too_large", f"The body is larger than {BODY_LIMIT_BYTES} bytes.")


def _unknown(packing: str) -> Invalid:
    return _bad(
        "http.unsupported_media_type", f"Bodies encoded as {packing[:40]} are not read here."
    )


def _bad(code: str, message: str) -> Invalid:
    return Invalid(code, message, hint="Send fewer rows at once, plain or with gzip.")
