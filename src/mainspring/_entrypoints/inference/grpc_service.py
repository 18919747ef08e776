"""The Open Inference Protocol over gRPC: its calls, answered by the core that REST has too.

A message is read only once its sender is let in, and all messages in hand together have a budget.
On the wire a call with one message is a stream of one, so every call is declared a stream from the
client: else the library would take in a stranger's message before we are asked.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, Callable, Mapping
from typing import Any, Final
from urllib.parse import unquote

from mainspring._entrypoints._http.doors import is_loopback
from mainspring._entrypoints.inference import choosing, describing, grpc_infer, observing
from mainspring._entrypoints.inference.core import Core
from mainspring._entrypoints.inference.grpc_messages import message
from mainspring._entrypoints.inference.protocol import VARIANT
from mainspring.core.errors import Denied, Invalid, MainspringError, TimedOut, Unavailable
from mainspring.serving.live import LiveEndpoint
from mainspring.serving.traffic import versioned

_BUDGET_BYTES: Final = 512 << 20
_MESSAGE_SECONDS: Final = 30.0
# What a load balancer may ask without a token, as over REST.
OPEN_CALLS: Final = frozenset({"ServerLive", "ServerReady"})
Metadata = Mapping[str, str]


class InferenceService:
    """Answers each call of ``GRPCInferenceService`` from bytes to bytes. Event loop only."""

    def __init__(self, core: Core) -> None:
        self._core = core
        fleet = core.fleet
        self._left_bytes = _BUDGET_BYTES
        self._asked: dict[str, Callable[[Any], dict[str, Any]]] = {
            "ServerLive": lambda _: {"live": True},
            "ServerReady": lambda _: {"ready": fleet.is_ready},
            "ModelReady": lambda asked: {"ready": fleet.serves(asked.name, asked.version or None)},
            "ServerMetadata": lambda _: describing.server_metadata(),
            "ModelMetadata": lambda asked: describing.model_metadata(self._endpoint(asked)),
            "ModelConfig": lambda asked: {"config": describing.model_config(self._endpoint(asked))},
            "RepositoryIndex": self._index,
        }

    @property
    def calls(self) -> tuple[str, ...]:
        """The names of the calls that are answered."""
        more = ("ModelInfer", "ModelStatistics", "RepositoryModelLoad", "RepositoryModelUnload")
        return (*self._asked, *more)

    async def answer(
        self, call: str, metadata: Metadata, peer: str, messages: AsyncIterable[bytes]
    ) -> bytes:
        """The response to a call. Errors: as over REST."""
        if call.startswith("RepositoryModel"):
            _check_near(peer)
            self._core.control.admit(metadata)
        elif call not in OPEN_CALLS:
            choosing.admit(self._core.doors, metadata)
        data = await _first(messages)
        if len(data) > self._left_bytes:
            raise Unavailable(
                "serving.busy",
                "Too many large messages are on their way.",
                hint="Send the request again in a moment, or fewer rows at once.",
            )
        self._left_bytes -= len(data)
        try:
            return await self._answer(call, _parsed(call, data), metadata)
        finally:
            self._left_bytes += len(data)

    async def _answer(self, call: str, request: Any, metadata: Metadata) -> bytes:
        if call == "ModelInfer":
            response = await self._infer(request, metadata)
        elif call in self._asked:
            response = _filled(call, self._asked[call](request))
        elif call == "ModelStatistics":
            response = _filled(call, await self._statistics(request))
        else:
            await self._manage(call, request.model_name)
            response = message(f"{call}Response")()
        data: bytes = response.SerializeToString()
        return data

    async def _infer(self, request: Any, metadata: Metadata) -> Any:
        if request.model_version:
            choosing.admit(self._core.doors, metadata, version=True)
        endpoint = self._core.fleet.endpoint(request.model_name)
        try:
            return await self._infer_at(endpoint, request, metadata)
        except MainspringError as error:
            self._core.metrics.error(endpoint.name, error.kind)
            raise

    async def _infer_at(self, endpoint: LiveEndpoint, request: Any, metadata: Metadata) -> Any:
        question = grpc_infer.read_infer(request, endpoint, metadata.get(VARIANT))
        answer = await self._core.answering.answer(endpoint, question)
        return grpc_infer.write_infer(request, endpoint, answer)

    def _endpoint(self, asked: Any) -> Any:
        endpoint = self._core.fleet.endpoint(asked.name)
        if asked.version:
            versioned(endpoint.route, asked.name, asked.version)
        return endpoint

    async def _statistics(self, asked: Any) -> dict[str, Any]:
        everyone = self._core.fleet.endpoints.values()
        wanted = [self._endpoint(asked)] if asked.name else list(everyone)
        counted = await observing.whole(self._core)
        return describing.model_statistics(wanted, counted, asked.version or None)

    def _index(self, asked: Any) -> dict[str, Any]:
        fleet, unloaded = self._core.fleet, self._core.control.unloaded()
        return {"models": describing.repository_index(fleet, unloaded, ready=asked.ready)}

    async def _manage(self, call: str, name: str) -> None:
        parts = ["routes", name, "load" if call == "RepositoryModelLoad" else "unload"]
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, self._core.control.handle, "POST", parts, b"", None)


def _filled(call: str, document: dict[str, Any]) -> Any:
    from google.protobuf.json_format import ParseDict

    return ParseDict(document, message(f"{call}Response")())


async def _first(messages: AsyncIterable[bytes]) -> bytes:
    try:
        async with asyncio.timeout(_MESSAGE_SECONDS):
            # Not before: a stream that is begun and never read leaves a warning behind.
            return await anext(aiter(messages))
    except StopAsyncIteration as error:
        raise _bad("The call has no message") from error
    except TimeoutError as error:
        raise TimedOut("http.too_slow", "The message did not arrive in time.") from error


def _parsed(call: str, data: bytes) -> Any:
    from google.protobuf.message import DecodeError

    try:
        return message(f"{call}Request").FromString(data)
    except DecodeError as error:
        raise _bad(f"The message is not a {call}Request") from error


def _check_near(peer: str) -> None:
    # "ipv4:127.0.0.1:4711" or "ipv6:%5B::1%5D:4711" (gRPC naming)
    family, _, rest = unquote(peer).partition(":")
    if family not in {"ipv4", "ipv6"} or not is_loopback(rest.rpartition(":")[0].strip("[]")):
        raise Denied(
            "serving.control_is_local",
            "The control calls answer on this machine only.",
            hint="Run the command where the gateway runs.",
        )


def _bad(what: str) -> Invalid:
    return Invalid(
        "serving.bad_request", f"{what}.", hint="See the Open Inference Protocol, version 2."
    )
