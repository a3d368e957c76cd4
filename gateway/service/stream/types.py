"""What a stream is made of: entries of the log, encoded once for all clients, and control events of the gateway."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import orjson

from shared.contract.event import TASK_EVENT, StreamEntry
from shared.ids import StreamId, stored_stream_id

_LINE_BREAK: Final = re.compile(rb"\r\n|\r|\n")
_FRAMING_BYTES: Final = 64  # what `id:`, `event:`, `data:` and the line ends add to the data, roughly


@dataclass(slots=True, eq=False)
class Frame:
    """One entry, immutable; it is encoded when first needed and the encoding is shared.

    An entry that cannot be sent becomes an `error` event `bad_entry`, without an id on the wire.
    """

    id: StreamId
    event: str
    data: bytes
    run_id: str = ""
    is_final: bool = False
    is_usable: bool = True
    stored_type: str = ""
    _type: str = field(default="", init=False, repr=False)
    _sse: bytes = field(default=b"", init=False, repr=False)
    _message: str = field(default="", init=False, repr=False)

    @property
    def wire_id(self) -> str | None:
        """The id that a client may resume from."""
        return str(self.id) if self.is_usable else None

    @property
    def type(self) -> str:
        """The execute_type of a task event, else the event's name; parsed only when needed."""
        if not self._type:
            self._type = _find_type(self.event, self.stored_type, self.data)
        return self._type

    @property
    def size(self) -> int:
        """About the bytes that it takes on the wire."""
        return len(self.data) + _FRAMING_BYTES

    @property
    def sse(self) -> bytes:
        """The frame as a server-sent event."""
        if not self._sse:
            head = b"id: %d-%d\n" % self.id if self.is_usable else b""
            self._sse = head + _encode_sse(self.event, self.data)
        return self._sse

    @property
    def message(self) -> str:
        """The frame as a WebSocket message."""
        if not self._message:
            self._message = _encode_message(self.wire_id, self.event, self.data)
        return self._message


class Burst:
    """Frames that go to clients together; what is encoded once is shared by all of them."""

    __slots__ = ("_chunk", "frames", "has_final", "size")

    def __init__(self, frames: Sequence[Frame]) -> None:
        self.frames = frames
        self.size = sum(frame.size for frame in frames)
        self.has_final = any(frame.is_final for frame in frames)
        self._chunk = b""

    @property
    def chunk(self) -> bytes:
        """The frames as server-sent events in one chunk of an HTTP/1.1 response."""
        if not self._chunk:
            frames = self.frames
            body = frames[0].sse if len(frames) == 1 else b"".join(frame.sse for frame in frames)
            self._chunk = b"%x\r\n%b\r\n" % (len(body), body)
        return self._chunk


@dataclass(frozen=True, slots=True)
class ControlEvent:
    """An event that the gateway adds; without an id, so that Last-Event-ID stays that of the last entry.

    `retry_ms` is the reconnection time for SSE clients.
    """

    event: str
    data: bytes
    retry_ms: int | None = None

    @property
    def sse(self) -> bytes:
        """The event as a server-sent event."""
        encoded = _encode_sse(self.event, self.data)
        return encoded if self.retry_ms is None else b"retry: %d\n%b" % (self.retry_ms, encoded)

    @property
    def message(self) -> str:
        """The event as a WebSocket message."""
        return _encode_message(None, self.event, self.data)


Item = Frame | ControlEvent


def frame_of(entry: StreamEntry) -> Frame:
    """Return the frame of an entry, usable or not."""
    entry_id = stored_stream_id(entry.id)
    if entry.event and entry.data and "\n" not in entry.event and "\r" not in entry.event:
        return Frame(entry_id, entry.event, entry.data, entry.run_id, entry.is_final, stored_type=entry.type)
    error = error_event(f"the entry {entry.id} has no usable event and data", "bad_entry", 500)
    return Frame(entry_id, error.event, error.data, entry.run_id, entry.is_final, is_usable=False)


def control_event_of(event: str, data: Mapping[str, object]) -> ControlEvent:
    """Return a control event with this data as JSON."""
    return ControlEvent(event, orjson.dumps(data))


def error_event(sentence: str, error_type: str, status: int) -> ControlEvent:
    """Return an `error` event."""
    return control_event_of("error", {"error": sentence, "error_type": error_type, "status": status})


def _encode_sse(event: str, data: bytes) -> bytes:
    if b"\n" in data or b"\r" in data:
        data = _LINE_BREAK.sub(b"\ndata: ", data)
    return b"event: %b\ndata: %b\n\n" % (event.encode(), data)


def _encode_message(wire_id: str | None, event: str, data: bytes) -> str:
    """Return {id, event, data} as JSON, the data unchanged; data that is not JSON is sent as a string."""
    try:
        orjson.loads(data)
    except orjson.JSONDecodeError:
        data = orjson.dumps(data.decode(errors="replace"))
    head = {"event": event} if wire_id is None else {"id": wire_id, "event": event}
    return (b'%b,"data":%b}' % (orjson.dumps(head)[:-1], data)).decode()


def _find_type(event: str, stored_type: str, data: bytes) -> str:
    if event != TASK_EVENT or stored_type:
        return stored_type or event
    try:
        found = orjson.loads(data)
    except orjson.JSONDecodeError:
        return event
    kind = found.get("execute_type") if isinstance(found, dict) else None
    return kind if isinstance(kind, str) and kind else event
