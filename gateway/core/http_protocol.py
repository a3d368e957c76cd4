"""uvicorn's HTTP protocol with limits: what a client sends is bounded in bytes and in time before a request exists.

It also gives a request access to its transport.
"""

import asyncio
import logging
from http import HTTPStatus
from typing import Any, Final

import httptools
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from gateway.core.close_delimited import CloseDelimited
from gateway.core.deadline import Deadline
from gateway.core.direct_writer import DirectWriter
from gateway.core.raw_answers import raw_answer
from gateway.service.stream.sse import DIRECT_EXTENSION, WIRE_EXTENSION
from shared.config import GatewayConfig

# Bytes parsed at once: pipelined requests wait as bytes, not as thousands of parsed requests.
_SLICE_BYTES: Final = 4096
# How long the rest of a request that was answered early, or refused, is read and discarded: if the connection were
# closed at once, the client might lose the answer.
_LINGER_SECONDS: Final = 5.0
# A client that takes no byte of an answer for so long is cut; event streams have stream.send_timeout beside it.
_WRITE_SECONDS: Final = 30.0
_LINE_ENDS: Final = b"\r\n"

logger = logging.getLogger(__name__)


class ServerConfig(uvicorn.Config):
    """uvicorn's configuration, and the limits that its protocols enforce."""

    def __init__(self, app: ASGIApp, limits: GatewayConfig, **options: Any) -> None:
        super().__init__(app, **options)
        self.limits = limits


class HttpProtocol(HttpToolsProtocol):
    """One connection. A time limit runs while a head, or the rest of an answered request, is read.

    The time limit of a body is enforced by BodyLimit.
    """

    def __init__(self, config: ServerConfig, *arguments: Any, **options: Any) -> None:
        super().__init__(config, *arguments, **options)
        self._limits = config.limits
        self._is_idle = True  # nothing of the next request has come
        self._is_in_head = False
        self._is_in_body = False
        self._is_refused = False
        self._is_head_too_large = False
        self._head_bytes = 0  # that the parser has reported of this head
        self._unreported_bytes = 0  # fed since the parser last reported a part of a head or a body
        self._held = b""  # pipelined bytes, kept while a response is being sent
        self._reading = Deadline(self.loop, self._give_up_reading)
        self._writing = Deadline(self.loop, self._check_writing)
        self._unwritten = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as in the base
        """Start the time limit of the first request."""
        super().connection_made(transport)
        self._reading.set(self._limits.head_timeout)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the time limits and drop what is held."""
        self._reading.close()
        self._writing.close()
        self._held = b""
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what was received, unless it has to wait."""
        self._unset_keepalive_if_required()
        if self._is_refused:
            return
        if self._held:
            self._held += data
            self.flow.pause_reading()
        else:
            self._feed(data)

    def on_message_begin(self) -> None:
        """Begin a request's scope."""
        super().on_message_begin()
        self._is_in_head = True
        self._head_bytes = 0
        self.scope["extensions"] = {WIRE_EXTENSION: self.transport}  # type: ignore[dict-item] # an extension of ours

    def on_url(self, url: bytes) -> None:
        """Take a piece of the URL."""
        self._count_head(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; those after a body (trailers) are ignored."""
        if not self._is_in_head:
            return
        self._count_head(len(name) + len(value) + 4)
        if len(self.headers) >= self._limits.max_headers:
            self._stop_at_head()
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Begin to answer."""
        self._is_in_head, self._is_in_body = False, True
        self._reading.lift()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Take a piece of the body."""
        self._unreported_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """End a request."""
        self._is_in_body = False
        self._unreported_bytes = 0
        super().on_message_complete()
        if not self._is_answering:  # the rest of an answered request has come in time
            self._is_idle = True
            self._reading.set(self._limits.head_timeout)

    def on_response_complete(self) -> None:
        """Continue with pipelined requests, if any."""
        super().on_response_complete()
        if self.transport.is_closing():
            return
        self._is_idle = not (self._is_in_head or self._is_in_body)
        if not (self._is_answering or self._is_idle):
            self._reading.set(_LINGER_SECONDS if self._is_in_body else self._limits.head_timeout)
        held, self._held = self._held, b""
        if held:
            self._unset_keepalive_if_required()
            self._feed(held)

    def handle_websocket_upgrade(self) -> None:
        """Switch to the WebSocket protocol, unless a response is still being written."""
        if self._is_answering:
            self.transport.abort()
            return
        self._reading.close()
        self._writing.close()
        super().handle_websocket_upgrade()

    def pause_writing(self) -> None:
        """Start to check whether the client takes anything."""
        super().pause_writing()
        self._unwritten = self.transport.get_write_buffer_size()
        self._writing.set(_WRITE_SECONDS)

    def resume_writing(self) -> None:
        """Let writers continue."""
        super().resume_writing()
        self._writing.lift()

    def timeout_keep_alive_handler(self) -> None:
        """Close an idle connection; unsent bytes are dropped."""
        self._end()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        if cycle.scope["http_version"] == "1.0":
            app = CloseDelimited(app, cycle)
        elif cycle.scope["method"] != "HEAD":
            cycle.scope["extensions"][DIRECT_EXTENSION] = DirectWriter(cycle)  # type: ignore[assignment] # an extension of ours
        super()._start_asgi_task(cycle, app)

    @property
    def _is_answering(self) -> bool:
        # uvicorn leaves the first `cycle` None, whatever its type says.
        return bool(self.pipeline) or (bool(self.cycle) and not self.cycle.response_complete)

    def _feed(self, data: bytes) -> None:
        for start in range(0, len(data), _SLICE_BYTES):
            if self._is_answering and (self.pipeline or not self._is_in_body):
                self._hold(data[start:])
                return
            if not self._parse(data[start : start + _SLICE_BYTES]):
                return

    def _hold(self, data: bytes) -> None:
        """Keep pipelined bytes and pause reading; some clients send an empty line after a request."""
        if self._is_in_head or data.strip(_LINE_ENDS):
            self._held = data
            self.flow.pause_reading()

    def _parse(self, data: bytes) -> bool:
        """Return whether more may be parsed."""
        if self._is_idle:
            self._is_idle = False
            self._reading.set(self._limits.head_timeout)
        self._unreported_bytes += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            if self._should_upgrade():
                self.handle_websocket_upgrade()
                return False
        except httptools.HttpParserError:
            self._refuse_request()
        else:
            if self._unreported_bytes > self._limits.max_head_bytes:
                self._is_head_too_large = True
                self._refuse_request()
        return not (self._is_refused or self.transport.is_closing())

    def _count_head(self, count: int) -> None:
        self._unreported_bytes = 0
        self._head_bytes += count
        if self._head_bytes > self._limits.max_head_bytes:
            self._stop_at_head()

    def _stop_at_head(self) -> None:
        """Stop the parser by raising ValueError."""
        self._is_head_too_large = True
        raise ValueError("the head is too large")

    def _refuse_request(self) -> None:
        if not self._is_head_too_large:
            self._refuse(HTTPStatus.BAD_REQUEST, "bad_request", "This is not a valid request of HTTP/1.1.")
            return
        limits = self._limits
        sentence = (
            f"The request's head is longer than {limits.max_head_bytes} bytes or has more than {limits.max_headers} "
            "headers, the limits of gateway.max_head_bytes and gateway.max_headers."
        )
        self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "head_too_large", sentence)

    def _refuse(self, status: HTTPStatus, code: str, sentence: str) -> None:
        """Answer an invalid request, read on for a while so that the answer arrives, then close."""
        self._is_refused = True
        logger.info("refusing a connection", extra={"status": status.value, "code": code})
        if self._is_answering and not (self.pipeline or self._is_in_body):
            self.cycle.keep_alive = False  # this came after a complete request, which is answered first
        elif self._is_answering and (self.pipeline or self.cycle.response_started):
            self.transport.abort()  # the answer would stand in the middle of another
        elif not self.transport.is_closing():
            if self._is_answering:  # the body is invalid: nothing more of the app's response is sent
                self.cycle.disconnected = True
                self.cycle.message_event.set()
            self.flow.resume_reading()
            self.transport.write(raw_answer(status, code, sentence))
            self.transport.write_eof()
            self._reading.set(_LINGER_SECONDS)

    def _give_up_reading(self) -> None:
        if self._is_refused or not self._is_in_head:
            self._end()
            return
        seconds = self._limits.head_timeout
        sentence = f"The request's head did not come within {seconds:g} s, the limit of gateway.head_timeout."
        self._refuse(HTTPStatus.REQUEST_TIMEOUT, "request_timeout", sentence)

    def _check_writing(self) -> None:
        unwritten = self.transport.get_write_buffer_size()
        if unwritten >= self._unwritten:
            self.transport.abort()
        else:
            self._unwritten = unwritten
            self._writing.set(_WRITE_SECONDS)

    def _end(self) -> None:
        if self.transport.get_write_buffer_size():
            self.transport.abort()
        else:
            self.transport.close()
