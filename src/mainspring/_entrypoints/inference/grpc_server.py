"""Listening for gRPC, on the gateway's own event loop.

Limits: a message has at most 64 MiB, 1,024 calls are under way at once, and a connection that
asks nothing for five minutes is closed.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterable
from typing import Any, Final

from mainspring._entrypoints._http.errors import status_of
from mainspring._entrypoints.inference.core import Core
from mainspring._entrypoints.inference.grpc_messages import SERVICE
from mainspring._entrypoints.inference.grpc_service import InferenceService
from mainspring._entrypoints.inference.packing import BODY_LIMIT_BYTES
from mainspring.core.errors import Kind, MainspringError, Unavailable

DRAIN_SECONDS: Final = 20.0
_CALLS_AT_ONCE: Final = 1024
_IDLE_MILLISECONDS: Final = 300_000
_CODES: Final[dict[Kind, str]] = {
    "invalid": "INVALID_ARGUMENT",
    "denied": "PERMISSION_DENIED",
    "not_found": "NOT_FOUND",
    "conflict": "FAILED_PRECONDITION",
    "unavailable": "UNAVAILABLE",
    "timeout": "DEADLINE_EXCEEDED",
    "broken": "INTERNAL",
}
_UNAUTHENTICATED: Final = 401
log = logging.getLogger("mainspring.gateway")


class GrpcServer:
    """A gRPC port beside the gateway's other one. Errors: ``serving.extra_missing``."""

    def __init__(self, service: InferenceService, core: Core, *, host: str, port: int) -> None:
        self._service = service
        self._core = core
        self._host = f"[{host}]" if ":" in host else host
        self._port = port
        self._library = _library()
        self._server: Any = None

    @property
    def address(self) -> str:
        """Where clients find it, once it is started."""
        return f"{self._host}:{self._port}"

    async def start(self) -> None:
        """Listens. Errors: ``http.address_in_use``."""
        grpc = self._library
        self._server = grpc.aio.server(
            maximum_concurrent_rpcs=_CALLS_AT_ONCE,
            options=[
                ("grpc.max_receive_message_length", BODY_LIMIT_BYTES),
                ("grpc.max_send_message_length", -1),
                ("grpc.max_concurrent_streams", _CALLS_AT_ONCE),
                ("grpc.max_connection_idle_ms", _IDLE_MILLISECONDS),
                ("grpc.so_reuseport", 1),
            ],
        )
        self._server.add_generic_rpc_handlers((self._handlers(grpc),))
        try:
            self._port = self._server.add_insecure_port(self.address)
        except RuntimeError as error:
            raise Unavailable(
                "http.address_in_use",
                f"Cannot listen on {self.address} for gRPC.",
                hint="Is another server running there? Choose another --grpc-port.",
            ) from error
        await self._server.start()

    def leaving(self) -> None:
        """Goes on as before until it is stopped."""

    async def stop(self) -> None:
        """Takes no new calls, answers those under way, and ends."""
        if self._server is not None:
            await self._server.stop(DRAIN_SECONDS)

    def _handlers(self, grpc: Any) -> Any:
        handlers = {
            call: grpc.stream_unary_rpc_method_handler(self._handler(call))
            for call in self._service.calls
        }
        return grpc.method_handlers_generic_handler(SERVICE, handlers)

    def _handler(self, call: str) -> Any:
        async def handle(messages: AsyncIterable[bytes], context: Any) -> bytes:
            metadata = {
                name: value
                for name, value in context.invocation_metadata() or ()
                if isinstance(value, str)
            }
            told = self._core.telling.begins(
                "ModelInfer" if call == "ModelInfer" else None, metadata
            )
            self._core.metrics.under_way += 1
            try:
                answer = await self._service.answer(call, metadata, context.peer(), messages)
            except MainspringError as error:
                answer, code, said = b"", _code(error), f"{error.code}: {error}"
            except Exception:  # the process edge: a bug answers INTERNAL and leaves its trace
                log.exception("unexpected error in the call %s", call)
                answer, code, said = b"", "INTERNAL", "http.bug: The gateway made a mistake."
            else:
                code, said = "OK", ""
            finally:
                self._core.metrics.under_way -= 1
            self._core.metrics.call(code)
            if told is not None:
                line = {"client": context.peer(), "call": call, "code": code}
                self._core.telling.called(told, {**line, "bytes": len(answer)})
            if code != "OK":
                await context.abort(getattr(self._library.StatusCode, code), said)
            return answer

        return handle


def _code(error: MainspringError) -> str:
    return "UNAUTHENTICATED" if status_of(error) == _UNAUTHENTICATED else _CODES[error.kind]


def _library() -> Any:
    try:
        import google.protobuf  # noqa: F401 - messages need it; said here, before the first call
        import grpc
    except ImportError as error:
        raise Unavailable(
            "serving.extra_missing",
            "The gRPC port needs grpcio and protobuf, which are not installed.",
            hint="Install them with: pip install 'mainspring[grpc]', or leave out --grpc-port.",
        ) from error
    return grpc
