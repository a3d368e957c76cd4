"""Middleware against pages of other origins: which host a request names, and which page a browser sends it for.

Clients that are no browsers pass: they name the gateway by its host and have no page.
"""

import ipaddress
import logging
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.controller.error_handlers import refuse_request
from gateway.controller.health import PROBES
from shared.errors import ForbiddenError, ForeignHostError, ForeignOriginError

_HOST: Final = re.compile(r"(?:\[([0-9A-Fa-f:.]{2,45})\]|([A-Za-z0-9._-]{1,253}))(?::[0-9]{1,5})?")
_ANY: Final = "*"
_MAX_SHOWN_CHARS: Final = 100
# What a browser says of the page that a request comes from (Fetch Metadata); no page can write these headers.
_OWN_SITES: Final = frozenset({"same-origin", "none"})  # none: the user's own doing, such as the address bar
_NAVIGATION: Final = "navigate"

logger = logging.getLogger(__name__)


class AllowedHosts:
    """The hosts that a request may name, so that the page of a name that an attacker owns gets no answer.

    Such a name can be made to point to this machine (DNS rebinding); then the page and the gateway have one origin.
    """

    def __init__(self, names: Sequence[str], *, is_on_loopback: bool) -> None:
        lowered = [name.lower() for name in names]
        self._exact = frozenset(lowered)
        self._suffixes = tuple(name.removeprefix("*") for name in lowered if name.startswith("*."))
        self._is_on_loopback = is_on_loopback
        self._is_any = _ANY in self._exact or not (names or is_on_loopback)

    def require(self, headers: Headers, http_version: str) -> None:
        """Raise ForeignHostError unless the one Host header names an allowed host, with any port or none.

        HTTP/1.0, which no browser speaks, needs no Host header.
        """
        found = headers.getlist("host")
        if self._is_any or (not found and http_version == "1.0"):
            return
        match = _HOST.fullmatch(found[0]) if len(found) == 1 else None
        name = (match[1] or match[2]).lower() if match else ""
        if not (name and self._has(name)):
            raise ForeignHostError(self._sentence(", ".join(found)))

    def _has(self, name: str) -> bool:
        if name in self._exact or name.endswith(self._suffixes):
            return True
        return self._is_on_loopback and is_loopback(name)

    def _sentence(self, host: str) -> str:
        where = "listens on a loopback address and " if self._is_on_loopback else ""
        what = f"the host {_shown(host)}" if host else "a request without a host"
        return (
            f"This gateway {where}does not answer for {what}. If it is a name of this gateway, for instance behind a "
            "proxy, add it to gateway.allowed_hosts."
        )


class AllowedOrigins:
    """The origins whose pages may use the gateway: its own, and those of cors.allow_origins."""

    def __init__(self, origins: Sequence[str]) -> None:
        self._origins = frozenset(origins)

    def require(self, headers: Headers, method: str) -> None:
        """Raise ForeignOriginError for what a browser sends for the page of another origin.

        CORS alone keeps a page from reading answers, not from sending forms, and does not apply to WebSockets. What
        only follows a link to here (a navigation) changes nothing and shows the page nothing. `method` is empty for
        a WebSocket.
        """
        origin, site = headers.get("origin"), headers.get("sec-fetch-site")
        if _ANY in self._origins or origin in self._origins or site in _OWN_SITES:
            return
        is_foreign = site is not None if origin is None else not _is_own(origin, headers.get("host", ""))
        is_navigation = method in ("GET", "HEAD") and headers.get("sec-fetch-mode") == _NAVIGATION
        if is_foreign and not is_navigation:
            page = "another site" if origin is None else f"the origin {_shown(origin)}"
            raise ForeignOriginError(
                f"Pages of {page} may not use this gateway: add their origin to cors.allow_origins if they may. "
                "If this is the gateway's own page, a proxy before it has changed the Host header."
            )


class BrowserChecks:
    """Refuses requests for foreign hosts with 421 and those of foreign pages with 403; probes are exempt."""

    def __init__(self, app: ASGIApp, *, hosts: AllowedHosts, origins: AllowedOrigins) -> None:
        self._app = app
        self._hosts = hosts
        self._origins = origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection of the server."""
        if scope["type"] != "lifespan" and scope["path"] not in PROBES:
            try:
                headers = Headers(scope=scope)
                self._hosts.require(headers, scope["http_version"])
                self._origins.require(headers, scope.get("method", ""))
            except ForbiddenError as error:
                logger.info("refusing a request: %s", error.message, extra={"code": error.code})
                await refuse_request(scope, error)(scope, receive, send)
                return
        await self._app(scope, receive, send)


@lru_cache(maxsize=256)
def is_loopback(host: str) -> bool:
    """Whether a host is this machine itself, and cannot be reached from others."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _is_own(origin: str, host: str) -> bool:
    # Not the scheme: behind a proxy that ends TLS, only the host is what the browser asked for.
    try:
        own = urlsplit(origin).netloc.lower()
    except ValueError:  # such as http://[x
        return False
    return bool(own) and own == host.lower()


def _shown(text: str) -> str:
    return repr(text if len(text) <= _MAX_SHOWN_CHARS else f"{text[:_MAX_SHOWN_CHARS]}...")
