"""Server-sent events: how an entry, a sign of ours and the whole response look on the wire."""

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import orjson
from sse_starlette import EventSourceResponse

from shared.clock import isoformat
from shared.contract.event import StreamEntry
from shared.ids import StreamId, parse_stream_id

RETRY: Final = b"retry: 3000\n\n"
# What a stream has left to say its farewell in at shutdown, before it is cut.
_SHUTDOWN_GRACE_SECONDS: Final = 5.0
_LINE_BREAK: Final = re.compile(rb"\r\n|\r|\n")
_HEADERS: Final = {"Cache-Control": "no-cache, no-transform", "X-Accel-Buffering": "no"}


@dataclass(frozen=True, slots=True)
class Frame:
    """One entry, encoded once for all who get it."""

    id: StreamId
    payload: bytes
    run_id: str
    is_final: bool


def encode_entry(entry: StreamEntry) -> Frame:
    """Return the frame of an entry; one that cannot be sent becomes an `error` event `bad_entry`."""
    return Frame(parse_stream_id(entry.id), _payload(entry), entry.run_id, entry.is_final)


def _payload(entry: StreamEntry) -> bytes:
    event = entry.event.encode()
    if not event or not entry.data or _LINE_BREAK.search(event):
        return error_frame(f"the entry {entry.id} has no usable event and data", "bad_entry", 500)
    data = entry.data
    if b"\n" in data or b"\r" in data:
        data = _LINE_BREAK.sub(b"\ndata: ", data)
    return b"id: %b\nevent: %b\ndata: %b\n\n" % (entry.id.encode(), event, data)


def system_frame(event: str, data: dict[str, str | int]) -> bytes:
    """Return an event of ours; without an id, so that Last-Event-ID stays that of the last entry."""
    return b"event: %b\ndata: %b\n\n" % (event.encode(), orjson.dumps(data))


def error_frame(sentence: str, error_type: str, status: int) -> bytes:
    """Return an `error` event."""
    return system_frame("error", {"error": sentence, "error_type": error_type, "status": status})


def time_frame(event: str) -> bytes:
    """Return a `waiting` or `keep_alive` event."""
    return system_frame(event, {"time": isoformat(datetime.now(UTC))})


def stream_response(chunks: AsyncIterator[bytes], *, send_timeout: float) -> EventSourceResponse:
    """Return the response that sends the chunks as they are; a client that takes nothing for so long is left."""
    return EventSourceResponse(
        chunks,
        headers=_HEADERS,
        ping=0,
        send_timeout=send_timeout,
        shutdown_grace_period=_SHUTDOWN_GRACE_SECONDS,
    )
