"""Server-sent events: the response that sends a stream over HTTP."""

import asyncio
import logging
from collections.abc import Iterator, Sequence
from contextlib import aclosing
from typing import Final, Protocol

from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from gateway.service.stream.stream_limits import StreamLimits, client_of
from gateway.service.stream.stream_session import EventStreamSession
from gateway.service.stream.timer_wheel import TimerWheel
from gateway.service.stream.types import Burst, Item
from gateway.service.stream.write_timeout import Wire, WriteTimeout
from shared.config import StreamConfig

# In a scope's `extensions`: the Wire below the request, which tells a slow client from a stalled one.
WIRE_EXTENSION: Final = "baud.wire"
# In a scope's `extensions`: an object whose `write` takes a burst at once, or returns False.
DIRECT_EXTENSION: Final = "baud.direct"
# In a scope's `extensions`: the DeferredStream of an outer middleware.
DEFERRED_EXTENSION: Final = "baud.deferred_stream"
RETRY: Final = b"retry: 3000\n\n"
# Shares of what may be held for a client: the hub's buffer takes half, a chunk being sent and the transport's buffer
# an eighth each (the latter may overshoot by a chunk), so that all together stay within it.
BUFFER_SHARE: Final = 2
CHUNK_SHARE: Final = 8
_HEADERS: Final = {"Cache-Control": "no-cache, no-transform", "X-Accel-Buffering": "no"}

logger = logging.getLogger(__name__)


class BurstWriter(Protocol):
    """The connection to a client, as far as it can be written to without waiting."""

    def write(self, burst: Burst) -> bool:
        """Write a burst; False when it cannot be taken at once, and then nothing was written."""


class DeferredStream:
    """Holds the stream of a request until its route has returned, so that what the route needed is freed."""

    stream: "EventStream | None" = None


class EventStream(Response):
    """Sends a session's items as they come, until it is over or the client has left; closes after a complete frame."""

    media_type = "text/event-stream"

    def __init__(
        self, session: EventStreamSession, wheel: TimerWheel, stream_limits: StreamLimits, config: StreamConfig
    ) -> None:
        super().__init__(headers=_HEADERS)
        del self.headers["content-length"]
        self._session = session
        self._wheel = wheel
        self._stream_limits = stream_limits
        self._admitted: str | None = None  # the address that a place is held for
        self._send_timeout = config.send_timeout
        self._chunk_bytes = config.client_buffer_bytes // CHUNK_SHARE

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Begin the response; a DeferredStream in the scope sends the rest and closes the stream.

        Raises ShuttingDownError, TooManyStreamsError before anything was sent.
        """
        deferred: DeferredStream | None = scope.get("extensions", {}).get(DEFERRED_EXTENSION)
        client = client_of(scope)
        self._stream_limits.enter(client)
        self._admitted = client
        try:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            if deferred is None:
                await self.send_events(scope, receive, send)
            else:
                deferred.stream = self
        finally:
            if deferred is None or deferred.stream is not self:
                self.close()

    def close(self) -> None:
        """Release the stream's place in the limits; may be called twice."""
        if self._admitted is not None:
            self._stream_limits.leave(self._admitted)
            self._admitted = None

    async def send_events(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the stream over one connection of the server."""
        extensions = scope.get("extensions", {})
        wire: Wire | None = extensions.get(WIRE_EXTENSION)
        writer: BurstWriter | None = extensions.get(DIRECT_EXTENSION)
        if writer is not None:
            self._session.write_directly(writer.write, max_bytes=self._chunk_bytes)
        write_timeout = None
        if wire is not None:
            write_timeout = WriteTimeout(self._wheel, wire, self._send_timeout)
            write_timeout.pause_sender_above(max_bytes=self._chunk_bytes)
        listener = asyncio.create_task(self._await_disconnect(receive), name="disconnect")
        try:
            await self._send_bursts(send, write_timeout)
            await self._finish(send, write_timeout)
        finally:
            if write_timeout is not None:
                write_timeout.close()
            listener.cancel()
            await asyncio.wait([listener])

    async def _await_disconnect(self, receive: Receive) -> None:
        """Wait until the client has disconnected; a body that is too long or too slow counts as that."""
        try:
            while (await receive())["type"] != "http.disconnect":
                pass
        except HTTPException:
            logger.info("ending a stream: the body of its request exceeds the limits")
        self._session.leave()

    async def _send_bursts(self, send: Send, write_timeout: WriteTimeout | None) -> None:
        await send({"type": "http.response.body", "body": RETRY, "more_body": True})
        async with aclosing(self._session.items()) as bursts:
            async for items in bursts:
                await self._send(items, send, write_timeout)
                del items  # a stream that waits holds nothing of what it has sent

    async def _finish(self, send: Send, write_timeout: WriteTimeout | None) -> None:
        """End the response, under the same write timeout."""
        if write_timeout is not None:
            write_timeout.begin()
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _send(self, items: Sequence[Item], send: Send, write_timeout: WriteTimeout | None) -> None:
        for chunk in _join(items, self._chunk_bytes):
            if write_timeout is not None:
                write_timeout.begin()
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
            if write_timeout is not None:
                write_timeout.end()


def _join(items: Sequence[Item], chunk_bytes: int) -> Iterator[bytes]:
    if len(items) == 1:
        yield items[0].sse
        return
    waiting: list[bytes] = []
    size = 0
    for item in items:
        if waiting and size + len(item.sse) > chunk_bytes:
            yield b"".join(waiting)
            waiting, size = [], 0
        waiting.append(item.sse)
        size += len(item.sse)
    if waiting:
        yield b"".join(waiting)
