"""One subscriber of one stream over raw HTTP; its cost is the parser in C and one regular expression per chunk."""

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
    """Counts of many subscribers since the last `take`; `on_event` is called after each chunk with events."""

    latencies_ns: list[int] = field(default_factory=list)
    events: int = 0
    missed: int = 0
    doubled: int = 0
    errors: int = 0
    last_ns: int = 0
    on_event: Callable[[], None] = lambda: None


class StreamPosition(Protocol):
    """A client's position in a stream, over all its connections."""

    @property
    def thread_id(self) -> str:
        """The thread of the stream."""

    @property
    def last_id(self) -> str:
        """The id of the last event; empty: none."""

    def begin(self) -> None:
        """Start a new connection: drop the partial frame of the one before."""

    def take(self, chunk: bytes) -> None:
        """Take the next bytes of the event stream."""


class Subscriber:
    """A client's position in a stream, over all its connections; every event is checked against the one before it."""

    def __init__(self, thread_id: str, tally: Tally) -> None:
        self.thread_id = thread_id
        self.tally = tally
        self.last_id = ""
        self.expected: int | None = None
        self._rest = b""

    def begin(self) -> None:
        """Start a new connection: drop the partial frame of the one before."""
        self._rest = b""

    def take(self, chunk: bytes) -> None:
        """Take the next bytes of the event stream."""
        data = self._rest + chunk if self._rest else chunk
        end = data.rfind(b"\n\n") + 2
        if end == 1:
            self._rest = data
            return
        self._rest = data[end:]
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

    def __init__(self, position: StreamPosition, host: str) -> None:
        loop = asyncio.get_running_loop()
        self.opened: asyncio.Future[None] = loop.create_future()
        self.closed: asyncio.Future[None] = loop.create_future()
        self.transport: asyncio.Transport | None = None
        self.on_body = position.take  # called by the parser
        self._position = position
        self._host = host
        self._parser = httptools.HttpResponseParser(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Request the stream after the last event."""
        self.transport = cast(asyncio.Transport, transport)  # uvloop's transports do not inherit from it
        self._position.begin()
        resume = f"Last-Event-ID: {self._position.last_id}\r\n" if self._position.last_id else ""
        path = f"/api/agent/{self._position.thread_id}/stream"
        self.transport.write(f"GET {path} HTTP/1.1\r\nHost: {self._host}\r\n{resume}\r\n".encode())

    def data_received(self, data: bytes) -> None:
        """Pass the bytes to the parser."""
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
        """Complete both futures."""
        if not self.opened.done():
            self.opened.set_exception(RuntimeError(f"a connection was lost before its answer: {exc}"))
        if not self.closed.done():
            self.closed.set_result(None)
