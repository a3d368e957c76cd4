"""Middleware of every request: its id, its log line, the limits of its body, and the answer to unexpected errors."""

import asyncio
import logging
import re
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.controller.error_handlers import INTERNAL_SENTENCE, error_response
from gateway.controller.health import PROBES
from gateway.service.stream.sse import DEFERRED_EXTENSION, DeferredStream
from shared.errors import BaudError
from shared.ids import new_id
from shared.log import bind

REQUEST_ID_HEADER: Final = "X-Request-ID"
_SANE_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_CLIENT_LEFT: Final = 499
_UPGRADED: Final = 101
_INTERNAL_ERROR: Final = 1011
DENIAL_EXTENSION: Final = "websocket.http.response"
_CLOSE_CODES_FROM: Final = 4000  # the private range; the status is added
_KEPT_IN_SCOPE: Final = frozenset({"route"})  # all that a stream's log line needs of what routing adds

logger = logging.getLogger(__name__)


def _plain(app: ASGIApp) -> ASGIApp:
    return app


class RequestEdge:
    """Gives the request an id, logs its end, and answers an unhandled error with 500.

    `wrap_error_response` adds to that answer what inner middleware adds to others, such as CORS headers.
    """

    def __init__(
        self, app: ASGIApp, *, slow_seconds: float, wrap_error_response: Callable[[ASGIApp], ASGIApp] = _plain
    ) -> None:
        self._app = app
        self._slow_seconds = slow_seconds
        self._wrap_error_response = wrap_error_response

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection of the server."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        request_id = _request_id(Headers(scope=scope))
        scope.setdefault("state", {})["request_id"] = request_id
        exchange = _Exchange(request_id, scope, receive, send)
        with bind(request_id=request_id):
            try:
                await self._app(scope, exchange.receive, exchange.send)
                await exchange.send_stream(scope)
            except Exception:
                logger.exception("a request failed")
                await exchange.answer_error(scope, self._wrap_error_response)
            finally:
                exchange.close_stream()
                self._log(scope, exchange)

    def _log(self, scope: Scope, exchange: "_Exchange") -> None:
        seconds = time.perf_counter() - exchange.began
        path = scope["path"]
        route = getattr(scope.get("route"), "path", "unknown")
        is_slow = seconds > self._slow_seconds and not exchange.is_stream
        level = logging.WARNING if is_slow else logging.DEBUG if path in PROBES else logging.INFO
        fields: Mapping[str, object] = {
            "method": scope.get("method", "WEBSOCKET"),
            "route": route,
            "status": exchange.final_status,
            "duration_ms": round(seconds * 1000, 1),
        }
        logger.log(level, "slow request" if is_slow else "request", extra=fields)


class _Exchange(DeferredStream):
    """Observes one request and its response."""

    def __init__(self, request_id: str, scope: Scope, receive: Receive, send: Send) -> None:
        extensions = scope.setdefault("extensions", {})
        extensions[DEFERRED_EXTENSION] = self
        self._can_deny = DENIAL_EXTENSION in extensions
        self._scope = scope
        self._scope_names = frozenset(scope)
        self.began = time.perf_counter()
        self.is_stream = False
        self.client_left = False
        self._request_id = request_id
        self._receive = receive
        self._send = send
        self._status: int | None = None
        self._is_complete = False

    @property
    def final_status(self) -> int:
        return _CLIENT_LEFT if self.client_left or self._status is None else self._status

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.disconnect" and not self._is_complete:
            self.client_left = True
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "websocket.close" and self._status is None:  # the router has no route
            response = error_response(self._request_id, 404, "not_found", "Not Found")
            await response(self._scope, self.receive, self.send)
            return
        if message["type"] in ("http.response.start", "websocket.http.response.start"):
            self._status = message["status"]
            headers = MutableHeaders(scope=message)
            headers[REQUEST_ID_HEADER] = self._request_id
            self.is_stream = headers.get("content-type", "").startswith("text/event-stream")
        elif message["type"] == "websocket.accept":
            self._status, self.is_stream = _UPGRADED, True
            MutableHeaders(scope=message)[REQUEST_ID_HEADER] = self._request_id
        elif message["type"] == "http.response.body" and not message.get("more_body", False):
            self._is_complete = True
        if message["type"].startswith("websocket.http.response.") and not self._can_deny:
            await self._close_instead(message)
        else:
            await self._send(message)

    async def _close_instead(self, message: Message) -> None:
        """Refuse a WebSocket by a close code, for a server that cannot answer a handshake with an error."""
        if message["type"] == "websocket.http.response.start":
            await self._send({"type": "websocket.accept"})
            await self._send({"type": "websocket.close", "code": _CLOSE_CODES_FROM + message["status"]})

    async def send_stream(self, scope: Scope) -> None:
        if self.stream is None:
            return
        for name in scope.keys() - self._scope_names - _KEPT_IN_SCOPE:
            del scope[name]
        await self.stream.send_events(scope, self.receive, self.send)

    def close_stream(self) -> None:
        if self.stream is not None:
            self.stream.close()

    async def answer_error(self, scope: Scope, wrap: Callable[[ASGIApp], ASGIApp]) -> None:
        if scope["type"] == "websocket" and self._status == _UPGRADED:
            with suppress(OSError, RuntimeError):  # it may be closed already
                await self._send({"type": "websocket.close", "code": _INTERNAL_ERROR})
        elif self._status is None:
            response = error_response(self._request_id, 500, BaudError.code, INTERNAL_SENTENCE)
            await wrap(response)(scope, self.receive, self.send)


class BodyLimit:
    """Refuses bodies longer than `max_bytes`, declared or chunked, and those that take longer than `limit_seconds`."""

    def __init__(self, app: ASGIApp, *, max_bytes: int, limit_seconds: float) -> None:
        self._app = app
        self._max_bytes = max_bytes
        self._limit_seconds = limit_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection of the server."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        declared = headers.get("content-length", "0")
        if not declared.isdecimal() or int(declared) > self._max_bytes:
            response = error_response(scope["state"]["request_id"], 413, "body_too_large", self._sentence())
            await response(scope, receive, send)
        elif declared != "0" or "transfer-encoding" in headers:
            await self._app(scope, _BoundedBody(receive, self._check_size, self._limit_seconds).receive, send)
        else:
            await self._app(scope, receive, send)

    def _check_size(self, received: int) -> None:
        if received > self._max_bytes:
            raise HTTPException(413, self._sentence())

    def _sentence(self) -> str:
        return f"The body is longer than {self._max_bytes} bytes, the limit of gateway.max_body_bytes."


class _BoundedBody:
    """Limits the size and time of a body; what comes after it, such as the disconnect, may take any time."""

    def __init__(self, receive: Receive, check_size: Callable[[int], None], limit_seconds: float) -> None:
        self._receive = receive
        self._check_size = check_size
        self._limit_seconds = limit_seconds
        self._due = asyncio.get_running_loop().time() + limit_seconds
        self._received = 0
        self._is_complete = False

    async def receive(self) -> Message:
        if self._is_complete:
            return await self._receive()
        try:
            async with asyncio.timeout_at(self._due):
                message = await self._receive()
        except TimeoutError:
            raise HTTPException(
                408, f"The body did not come within {self._limit_seconds:g} s, the limit of gateway.body_timeout."
            ) from None
        self._received += len(message.get("body", b""))
        self._check_size(self._received)
        self._is_complete = not message.get("more_body", False)
        return message


def _request_id(headers: Headers) -> str:
    offered = headers.get(REQUEST_ID_HEADER, "")
    return offered if _SANE_REQUEST_ID.fullmatch(offered) else new_id()
