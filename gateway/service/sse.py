"""Server-sent events: the response that carries a stream over HTTP, and nothing of what the stream says."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import aclosing
from typing import Final

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from gateway.service.admission import StreamAdmission, client_of
from gateway.service.frame import Item
from gateway.service.stall_watch import StallWatch, Wire
from gateway.service.tail import Tail
from gateway.service.timer_wheel import TimerWheel

# In a scope's `extensions`: the Wire below the request. Without it nobody can tell a slow client from a stalled one.
WIRE_EXTENSION: Final = "baud.wire"
RETRY: Final = b"retry: 3000\n\n"
_CHUNK_BYTES: Final = 65_536  # frames are joined up to this size, so that a slow client holds little
_HEADERS: Final = {"Cache-Control": "no-cache, no-transform", "X-Accel-Buffering": "no"}


class EventStream(Response):
    """Sends a tail's items as they come, until it is over or the client has left; closes after a whole frame."""

    media_type = "text/event-stream"

    def __init__(self, tail: Tail, wheel: TimerWheel, admission: StreamAdmission, *, send_timeout: float) -> None:
        super().__init__(headers=_HEADERS)
        del self.headers["content-length"]
        self._tail = tail
        self._wheel = wheel
        self._admission = admission
        self._send_timeout = send_timeout

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Carry the stream over one connection of the server; raises ShuttingDownError, TooManyStreamsError."""
        with self._admission.admit(client_of(scope)):
            await self._serve(scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        wire: Wire | None = scope.get("extensions", {}).get(WIRE_EXTENSION)
        watch = None if wire is None else StallWatch(self._wheel, wire, self._send_timeout)
        listener = asyncio.create_task(self._await_departure(receive), name="departure")
        try:
            await self._carry(send, watch)
        finally:
            if watch is not None:
                watch.close()
            listener.cancel()
            await asyncio.wait([listener])
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _await_departure(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self._tail.leave()

    async def _carry(self, send: Send, watch: StallWatch | None) -> None:
        await send({"type": "http.response.body", "body": RETRY, "more_body": True})
        async with aclosing(self._tail.items()) as bursts:
            async for items in bursts:
                for chunk in _join(items):
                    if watch is not None:
                        watch.begin()
                    await send({"type": "http.response.body", "body": chunk, "more_body": True})
                    if watch is not None:
                        watch.end()


def _join(items: Sequence[Item]) -> Iterator[bytes]:
    if len(items) == 1:
        yield items[0].sse
        return
    waiting: list[bytes] = []
    size = 0
    for item in items:
        waiting.append(item.sse)
        size += len(item.sse)
        if size >= _CHUNK_BYTES:
            yield b"".join(waiting)
            waiting, size = [], 0
    if waiting:
        yield b"".join(waiting)
