"""The gateway as an RSGI application: addresses to wires, errors in each wire's own form."""

from __future__ import annotations

import asyncio
import logging
from typing import Any, Final
from urllib.parse import parse_qs, unquote

from mainspring._entrypoints._http.doors import is_loopback
from mainspring._entrypoints._http.exposition import EXPOSITION_TYPE
from mainspring._entrypoints._http.messages import Response, json_response, text_response
from mainspring._entrypoints.inference import (
    arrow_wire,
    choosing,
    describing,
    exposition,
    invocations,
    observing,
    protocol,
)
from mainspring._entrypoints.inference.addresses import nothing_at
from mainspring._entrypoints.inference.admission import Admission
from mainspring._entrypoints.inference.core import Core
from mainspring._entrypoints.inference.outcomes import read_outcomes
from mainspring._entrypoints.inference.packing import Intake, pack
from mainspring._entrypoints.inference.refusing import refusal
from mainspring._entrypoints.inference.short import ShortWay
from mainspring._entrypoints.inference.telling import TRACEPARENT, Told
from mainspring.core.errors import Broken, Denied, Invalid, MainspringError
from mainspring.serving.live import LiveEndpoint
from mainspring.serving.traffic import versioned

# The level of MLflow's wire that we answer; its clients read the text of /version.
MLFLOW_LEVEL: Final = "2.20.0"
_OK: Final = 200
_NOT_FOUND: Final = 404
_NOT_READY: Final = 503
log = logging.getLogger("mainspring.gateway")


class Gateway:
    """One gateway process: every wire, one core."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._intake = Intake()
        self._admission = Admission(core.fleet)
        # What our own server asks first; others call only the coroutine below.
        self.at_once = ShortWay(core, self._intake, self._admission).take

    def close(self) -> None:
        """Lets the models' threads end."""
        for lane in self._core.fleet.lanes():
            lane.close()

    async def __rsgi__(self, scope: Any, incoming: Any) -> None:
        headers = dict(scope.headers.items())
        scores = scope.path.endswith(("/infer", "/invocations"))
        told = self._core.telling.begins("POST score" if scores else None, headers)
        response = await self._whatever(scope, headers, incoming)
        self._core.metrics.status(response.status)
        if told is not None:
            self._tell(told, scope, response)
        if scope.method == "HEAD":
            incoming.response_empty(response.status, response.headers)
        else:
            incoming.response_bytes(response.status, response.headers, response.body)

    async def _whatever(self, scope: Any, headers: dict[str, str], incoming: Any) -> Response:
        """An answer in any case."""
        path, metrics = scope.path, self._core.metrics
        metrics.under_way += 1
        try:
            return await self._answer(scope, path, headers, incoming)
        except MainspringError as error:
            self._count(path, error)
            return refusal(path, error)
        except Exception:  # the process edge: a bug answers 500 and leaves its trace in the log
            log.exception("unexpected error in %s %s", scope.method, path[:200])
            return refusal(path, Broken("http.bug", "The gateway made a mistake."))
        finally:
            metrics.under_way -= 1

    def _tell(self, told: Told, scope: Any, response: Response) -> None:
        if told.span is not None:
            response.headers = [*response.headers, (TRACEPARENT, told.span.traceparent)]
        line = {
            "client": scope.client,
            "method": scope.method,
            "path": scope.path[:200],
            "status": response.status,
            "bytes": len(response.body) if isinstance(response.body, bytes) else 0,
        }
        self._core.telling.answered(told, line)

    def _count(self, path: str, error: MainspringError) -> None:
        """Counts what an endpoint failed to answer; nobody's name becomes a label but its own."""
        parts = path.split("/")
        if parts[-1] not in {"infer", "invocations"}:
            return
        only = list(self._core.fleet.table.routes)
        named = parts[3:4] if parts[1] == "v2" else parts[2:3] if parts[1] == "endpoints" else only
        if len(named) == 1 and unquote(named[0]) in self._core.fleet.endpoints:
            self._core.metrics.error(unquote(named[0]), error.kind)

    async def _answer(
        self, scope: Any, path: str, headers: dict[str, str], incoming: Any
    ) -> Response:
        self._core.doors.check(scope.method, headers, scope.authority)
        if scope.method == "POST" and path.startswith("/v2/models/") and path.endswith("/infer"):
            says_version = "/versions/" in path.removeprefix("/v2/models/")
            choosing.admit(self._core.doors, headers, version=says_version)
            return pack(await self._infer(path, headers, incoming), headers)
        return pack(await self._other(scope, path, headers, incoming), headers)

    async def _infer(self, path: str, headers: dict[str, str], incoming: Any) -> Response:
        parts = path.split("/")
        match parts[3:]:
            case [name, "infer"]:
                version: str | None = None
            case [name, "versions", said, "infer"]:
                version = unquote(said)
            case _:
                raise nothing_at("POST", path, parts[1:])
        endpoint = self._core.fleet.endpoint(unquote(name))
        await self._admission.enter(endpoint.name, incoming)
        body = await self._intake.read(incoming, headers)
        asked = (
            protocol.Asked(arrow_wire.read_question(body, headers, endpoint, version))
            if arrow_wire.is_arrow(headers)
            else protocol.read_infer(body, headers, endpoint, version)
        )
        answer = await self._core.answering.answer(endpoint, asked.question)
        if arrow_wire.wants_arrow(headers):
            return arrow_wire.write_answer(endpoint, answer)
        return protocol.write_infer(endpoint, asked, answer)

    async def _other(
        self, scope: Any, path: str, headers: dict[str, str], incoming: Any
    ) -> Response:
        parts = [unquote(part) for part in path.strip("/").split("/")]
        # HEAD is GET without the body, everywhere (RFC 9110, section 9.3.2).
        method = "GET" if scope.method == "HEAD" else scope.method
        open_to_all = self._health(method, parts)
        if open_to_all is not None:
            return open_to_all
        if parts[0] == "control" or parts[:3] == ["v2", "repository", "models"]:
            return await self._manage(scope, parts, headers, incoming)
        choosing.admit(self._core.doors, headers)
        match (method, *parts):
            case ("POST", "invocations") | (
                "POST",
                "endpoints",
                _,
                "invocations" | "outcomes" | "decisions",
            ):
                return await self._posted(scope, parts, headers, incoming)
            case ("GET", "metrics"):
                return await self._counted()
            case ("GET" | "POST", "v2", "repository", "index"):
                body = await self._intake.read(incoming, headers) if method == "POST" else b""
                ready, core = describing.wants_ready(body), self._core
                unloaded = core.control.unloaded()
                index = describing.repository_index(core.fleet, unloaded, ready=ready)
                return json_response(index)
            case ("GET", "v2", *rest):
                return await self._describe(path, rest)
        raise nothing_at(scope.method, path, parts)

    def _health(self, method: str, parts: list[str]) -> Response | None:
        """What load balancers and clients ask without a token."""
        ready = self._core.fleet.is_ready
        status = _OK if ready else _NOT_READY
        match (method, *parts):
            case ("GET", "health"):
                return text_response("OK")
            case ("GET", "v2", "health", "live"):
                return json_response({"live": True})
            case ("GET", "v2", "health", "ready") | ("GET", "ready"):
                return json_response({"ready": ready}, status)
            case ("GET", "ping"):
                # MLflow and SageMaker ask this before they send traffic: ready, not just alive.
                return text_response("\n", status)
            case ("GET", "version"):
                return text_response(MLFLOW_LEVEL)
        return None

    async def _describe(self, path: str, rest: list[str]) -> Response:
        match rest:
            case []:
                return json_response(describing.server_metadata())
            case ["models", "stats"]:
                endpoints = list(self._core.fleet.endpoints.values())
                return await self._statistics(endpoints)
            case ["models", name, "versions", version, *what]:
                return await self._describe_model(path, name, version, what)
            case ["models", name, *what]:
                return await self._describe_model(path, name, None, what)
        raise nothing_at("GET", path, ["v2", *rest])

    async def _describe_model(
        self, path: str, name: str, version: str | None, what: list[str]
    ) -> Response:
        if what == ["ready"]:
            ready = self._core.fleet.serves(name, version)
            return json_response({"name": name, "ready": ready}, _OK if ready else _NOT_FOUND)
        endpoint = self._core.fleet.endpoint(name)
        if version is not None:
            versioned(endpoint.route, name, version)
        match what:
            case []:
                return json_response(describing.model_metadata(endpoint))
            case ["config"]:
                return json_response(describing.model_config(endpoint))
            case ["stats"]:
                return await self._statistics([endpoint], version)
        raise nothing_at("GET", path, ["v2", "models", name, *what])

    async def _statistics(
        self, endpoints: list[LiveEndpoint], version: str | None = None
    ) -> Response:
        counted = await observing.whole(self._core)
        return json_response(describing.model_statistics(endpoints, counted, version))

    async def _counted(self) -> Response:
        counted = await observing.whole(self._core)
        text = exposition.exposition(counted, self._core.fleet.table)
        return Response(_OK, [("content-type", EXPOSITION_TYPE)], text.encode())

    async def _posted(
        self, scope: Any, parts: list[str], headers: dict[str, str], incoming: Any
    ) -> Response:
        name = parts[1] if parts[0] == "endpoints" else self._only(scope.query_string)
        endpoint = self._core.fleet.endpoint(name)
        if parts[-1] != "outcomes":
            await self._admission.enter(name, incoming)
        body = await self._intake.read(incoming, headers)
        if parts[-1] == "outcomes":
            await self._core.answering.report(read_outcomes(body, name))
            return json_response({})
        if parts[-1] == "decisions" and self._core.decisions is not None:
            chosen = headers.get(choosing.VARIANT_HEADER)
            return await self._core.decisions.answer(endpoint, body, chosen)
        question = (
            arrow_wire.read_question(body, headers, endpoint, None)
            if arrow_wire.is_arrow(headers)
            else invocations.read_invocation(body, headers, endpoint)
        )
        answer = await self._core.answering.answer(endpoint, question)
        if arrow_wire.wants_arrow(headers):
            return arrow_wire.write_answer(endpoint, answer)
        return invocations.write_invocation(endpoint, answer)

    def _only(self, query: str) -> str:
        named = parse_qs(query).get("endpoint")
        if named:
            return named[0]
        names = list(self._core.fleet.table.routes)
        if len(names) != 1:
            raise Invalid(
                "serving.which_endpoint",
                f"The gateway serves {len(names)} endpoints.",
                hint="Say which: POST /endpoints/NAME/invocations, or /invocations?endpoint=NAME.",
            )
        return names[0]

    async def _manage(
        self, scope: Any, parts: list[str], headers: dict[str, str], incoming: Any
    ) -> Response:
        """Control requests, and the repository requests that change what is served."""
        match (scope.method, *parts):
            case (_, "control", *rest):
                pass
            case ("POST", "v2", "repository", "models", name, "load" | "unload" as what):
                rest = ["routes", name, what]
            case _:
                raise nothing_at(scope.method, scope.path, parts)
        _check_near(scope.client)
        self._core.control.admit(headers)
        body = await self._intake.read(incoming, headers)
        revision = headers.get("if-match")
        loop = asyncio.get_running_loop()
        response = await loop.run_in_executor(
            None, self._core.control.handle, scope.method, rest, body, _revision(revision)
        )
        return json_response({}) if parts[0] == "v2" else response


def _check_near(client: str) -> None:
    if not is_loopback(client.rpartition(":")[0].strip("[]") or client):
        raise Denied(
            "serving.control_is_local",
            "The control addresses answer on this machine only.",
            hint="Run the command where the gateway runs.",
        )


def _revision(text: str | None) -> int | None:
    if text is None:
        return None
    try:
        return int(text.strip('"'))
    except ValueError as error:
        raise Invalid(
            "serving.bad_request",
            "The header If-Match is not a revision.",
            hint="Send the revision of the routes, a whole number.",
        ) from error
