"""Who gets in: the Host, Origin and content-type rules, and the token.

A browser on the same machine reaches a loopback server too, so an open loopback server is safe
only if it can tell a page of its own from any other page. The rules are on parsed values, never
on how a text begins or ends: names that merely look local (``127.0.0.1.nip.io``) are names.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import ipaddress
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, Protocol

from mainspring._entrypoints._http.routing import OPEN, Permission, Route
from mainspring.core.actor import Actor
from mainspring.core.errors import Denied, Invalid

MAX_PORT: Final = 65535
MIN_TOKEN_LENGTH: Final = 16
LOCAL: Final = Actor("local")
OPERATOR: Final = Actor("operator", "token")
_NOBODY: Final = Actor("anonymous")
_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})


class Authenticator(Protocol):
    """Who a secret belongs to, and what they may do."""

    def identify(self, secret: str) -> Actor | None:
        """The actor of a bearer token or a password; None when it is nobody's."""
        ...

    def allows(self, actor: Actor, permission: Permission) -> bool:
        """Whether the actor may use routes that declare this permission."""
        ...


@dataclass(frozen=True, slots=True)
class OneToken:
    """One shared token that may do everything."""

    token: str = field(repr=False)
    actor: Actor = OPERATOR

    def __post_init__(self) -> None:
        if len(self.token) < MIN_TOKEN_LENGTH:
            raise Invalid(
                "http.weak_token",
                f"A token has at least {MIN_TOKEN_LENGTH} characters.",
                hint='Make one with: python -c "import secrets; print(secrets.token_urlsafe(32))"',
            )

    def identify(self, secret: str) -> Actor | None:
        same = hmac.compare_digest(secret.encode(), self.token.encode())
        return self.actor if same else None

    def allows(self, _actor: Actor, _permission: Permission) -> bool:
        return True


@lru_cache(maxsize=16)
def is_loopback(host: str) -> bool:
    """Whether an address to listen on can be reached from this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@dataclass(frozen=True)
class Doors:
    """The rules of one listening address.

    Errors: ``http.token_needed`` when the address is not loopback and there is no authenticator.
    """

    host: str = "127.0.0.1"
    names: frozenset[str] = frozenset({"localhost"})
    authenticator: Authenticator | None = None

    def __post_init__(self) -> None:
        if self.authenticator is None and not is_loopback(self.host):
            raise Invalid(
                "http.token_needed",
                f"Listening on {self.host} takes a token: others can reach that address.",
                hint="Set MAINSPRING_TOKEN, or listen on 127.0.0.1.",
                host=self.host,
            )

    def check(self, method: str, headers: dict[str, str], authority: str | None) -> None:
        """Refuses a request that another site's page, or a name that merely resolves here, made.

        Errors: ``http.bad_host``, ``http.foreign_origin``.
        """
        host = headers.get("host")
        if host is None or (authority is not None and authority != host) or not self.knows(host):
            raise Invalid(
                "http.bad_host",
                "This server does not answer to that Host.",
                hint="Use its IP address, or add the name to the allowed hosts.",
            )
        origin = headers.get("origin")
        if origin is not None and origin not in {f"http://{host}", f"https://{host}"}:
            raise Denied(
                "http.foreign_origin",
                "Pages of other sites may not call this server.",
                hint="Open the page from this server's own address.",
            )
        if method not in _SAFE and headers.get("sec-fetch-site") in {"cross-site", "same-site"}:
            raise Denied("http.foreign_origin", "Pages of other sites may not call this server.")

    def knows(self, host: str) -> bool:
        """Whether a Host value names this server: an IP literal, or a configured name exactly."""
        return _host_is_known(host, self.names, is_loopback(self.host))

    def admit(self, route: Route | None, headers: dict[str, str]) -> Actor:
        """The actor of a request.

        Errors: ``http.unauthenticated``, ``http.not_allowed``.
        """
        if route is not None and route.permission == OPEN:
            return _NOBODY
        if self.authenticator is None:
            return LOCAL
        secret = _secret(headers.get("authorization", ""))
        actor = self.authenticator.identify(secret) if secret else None
        if actor is None:
            raise Denied(
                "http.unauthenticated",
                "This address needs a valid token.",
                hint="Send it as a bearer token, or as the password of basic authentication.",
            )
        if route is not None and not self.authenticator.allows(actor, route.permission):
            resource, verb = route.permission
            raise Denied(
                "http.not_allowed",
                f"{actor.name} may not {verb} {resource}.",
                hint="Ask an administrator for the role.",
                resource=resource,
                verb=verb,
            )
        return actor


def check_content_type(route: Route, method: str, content_type: str | None) -> None:
    """Refuses bodies of the kinds that a page may send anywhere without asking first.

    Only POST is concerned: browsers ask (preflight) before PUT, PATCH and DELETE.
    Errors: ``http.unsupported_media_type``.
    """
    if method != "POST" or "*/*" in route.content_types:
        return
    kind = (content_type or "").partition(";")[0].strip().lower()
    if kind not in route.content_types:
        raise Invalid(
            "http.unsupported_media_type",
            f"This address takes {', '.join(route.content_types)}, not {kind[:60] or 'nothing'}.",
            hint="Set the Content-Type header.",
        )


@lru_cache(maxsize=256)
def _host_is_known(host: str, names: frozenset[str], loopback_only: bool) -> bool:  # noqa: FBT001 - a cache key
    if host.startswith("["):
        name, bracket, tail = host[1:].partition("]")
        if not bracket or (tail and not tail.startswith(":")):
            return False
        port = tail[1:] if tail else None
    else:
        name, colon, text = host.partition(":")
        port = text if colon else None
    if port is not None and not (port.isascii() and port.isdigit() and int(port) <= MAX_PORT):
        return False
    if name in names:
        return not host.startswith("[")
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return False
    if (address.version == 6) != host.startswith("["):  # noqa: PLR2004 - IPv6
        return False
    return address.is_loopback or not loopback_only


def _secret(authorization: str) -> str | None:
    """The token in an Authorization header: bearer, or the password of basic."""
    scheme, _, rest = authorization.partition(" ")
    if scheme.lower() == "bearer":
        return rest.strip() or None
    if scheme.lower() != "basic":
        return None
    try:
        text = base64.b64decode(rest.strip(), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return None
    return text.partition(":")[2] or None
