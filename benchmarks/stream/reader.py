"""One follower of one stream over raw HTTP: what it costs is the parser in C and one regular expression per chunk."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Protocol, cast

import httptools

from benchmarks.stream.stamp import STAMP

_OK: Final = 200


@dataclass(slots=True)
class Tally:
    """What many followers saw since it was taken last; `on_event` is told after each chunk that brought events."""

    latencies_ns: list[int] = field(default_factory=list)
    events: int = 0
    missed: int = 0
    doubled: int = 0
    errors: int = 0
    last_ns: int = 0
    on_event: Callable[[], None] = lambda: None


class Place(Protocol):
    """A client's place in a stream, over all its connections."""

    @property
    def thread_id(self) -> str:
        """Whose stream."""

    @property
    def last_id(self) -> str:
        """The last event that was seen; empty: none."""

    def begin(self) -> None:
        """A new connection: half a frame of the one before is void."""

    def take(self, chunk: bytes) -> None:
        """Take the next bytes of the event stream."""


class Subscriber:
    """A client's place in a stream, over all its connections; every event is checked against the one before it."""

    def __init__(self, thread_id: str, tally: Tally) -> None:
        self.thread_id = thread_id
        self.tally = tally
        self.last_id = ""
        self.expected: int | None = None
        self._tail = b""

    def begin(self) -> None:
        """A new connection: half a frame of the one before is void."""
        self._tail = b""

    def take(self, chunk: bytes) -> None:
        """Take the next bytes of the event stream."""
        data = self._tail + chunk if self._tail else chunk
        end = data.rfind(b"\n\n") + 2
        if end == 1:
            self._tail = data
            return
        self._tail = data[end:]
        now = time.time_ns()
        found = STAMP.findall(data, 0, end)
        if found:
            self._count(found, now)
            begin = data.rfind(b"id: ", 0, end) + 4
            self.last_id = data[begin : data.index(b"\n", begin)].decode()
            self.tally.on_event()
        if data.find(b"event: error\n", 0, end) >= 0:
            self.tally.errors += 1

    def _count(self, found: list[tuple[bytes, bytes]], now: int) -> None:
        tally = self.tally
        expected = self.expected
        for sent, text in found:
            number = int(text)
            if expected is not None and number != expected:
                if number < expected:
                    tally.doubled += 1
                    continue
                tally.missed += number - expected
            expected = number + 1
            tally.latencies_ns.append(now - int(sent))
        self.expected = expected
        tally.events += len(found)
        tally.last_ns = now


class StreamConnection(asyncio.Protocol):
    """One request for an event stream; `opened` is done with its head, `closed` when it has ended."""

    def __init__(self, place: Place, host: str) -> None:
        loop = asyncio.get_running_loop()
        self.opened: asyncio.Future[None] = loop.create_future()
        self.closed: asyncio.Future[None] = loop.create_future()
        self.transport: asyncio.Transport | None = None
        self.on_body = place.take  # called by the parser
        self._place = place
        self._host = host
        self._parser = httptools.HttpResponseParser(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the stream, behind the last event that was seen."""
        self.transport = cast(asyncio.Transport, transport)  # uvloop's are none by inheritance
        self._place.begin()
        resume = f"Last-Event-ID: {self._place.last_id}\r\n" if self._place.last_id else ""
        path = f"/api/agent/{self._place.thread_id}/stream"
        self.transport.write(f"GET {path} HTTP/1.1\r\nHost: {self._host}\r\n{resume}\r\n".encode())

    def data_received(self, data: bytes) -> None:
        """Hand the bytes to the parser."""
        self._parser.feed_data(data)

    def on_headers_complete(self) -> None:
        """Check the status; called by the parser."""
        status = self._parser.get_status_code()
        if self.opened.done():
            return
        if status == _OK:
            self.opened.set_result(None)
        else:
            self.opened.set_exception(RuntimeError(f"a stream was refused with {status}"))

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell whoever waits."""
        if not self.opened.done():
            self.opened.set_exception(RuntimeError(f"a connection was lost before its answer: {exc}"))
        if not self.closed.done():
            self.closed.set_result(None)
