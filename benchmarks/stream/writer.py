"""A measuring process that writes events, spread evenly in time: `python -m benchmarks.stream.writer`.

A plain thread with a blocking socket: the timers of an event loop, exact to a millisecond, would cause bursts.
"""

import json
import random
import socket
import sys
import time
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

import hiredis

from benchmarks.report import percentile
from benchmarks.stream.stamp import AppendCommand, append_command, pack

_REPLIES: Final = 2  # of one append: XADD and PUBLISH
_UNANSWERED: Final = 256  # replies that may be on their way before they are waited for


@dataclass(slots=True)
class _Stream:
    thread_id: str
    command: AppendCommand
    written: int = 0


@dataclass(slots=True)
class StreamWriter:
    """Appends to many streams in turn, in an order that is shuffled once."""

    connection: socket.socket
    streams: list[_Stream]
    _replies: hiredis.Reader = field(default_factory=hiredis.Reader)
    _unanswered: int = 0
    _next: int = 0

    def write(self, *, count: int, per_second: float) -> dict[str, float]:
        """Write `count` events, `per_second` of them or as many as Redis takes; return how late they were."""
        late_ns: list[int] = []
        gap_ns = 1e9 / per_second if per_second else 0.0
        began = time.time_ns()
        for position in range(count):
            due = began + int(position * gap_ns)
            now = time.time_ns()
            if due > now:
                time.sleep((due - now) / 1e9)
                now = time.time_ns()
            if per_second:
                late_ns.append(now - due)
            self._append(now)
            if self._unanswered >= _UNANSWERED:
                self._collect(_UNANSWERED // 2)
        self._collect(0)
        late_ms = percentile(late_ns, 0.99) / 1e6 if late_ns else 0.0
        return {"written": count, "seconds": (time.time_ns() - began) / 1e9, "late_p99_ms": late_ms, "began_ns": began}

    def _append(self, now_ns: int) -> None:
        stream = self.streams[self._next]
        self._next = (self._next + 1) % len(self.streams)
        self.connection.sendall(stream.command.packed(now_ns, stream.written))
        stream.written += 1
        self._unanswered += _REPLIES

    def _collect(self, at_most: int) -> None:
        while self._unanswered > at_most:
            data = self.connection.recv(65536)
            if not data:
                raise RuntimeError("Redis closed the connection of the writer")
            self._replies.feed(data)
            while (reply := self._replies.gets()) is not False:
                if isinstance(reply, Exception):
                    raise reply
                self._unanswered -= 1


def connect(redis_url: str) -> socket.socket:
    """Return a connection to Redis, signed in when the URL has a password."""
    parts = urlsplit(redis_url)
    connection = socket.create_connection((parts.hostname, parts.port))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if parts.password:
        connection.sendall(pack("AUTH", parts.password))
        if connection.recv(64) != b"+OK\r\n":
            raise RuntimeError("Redis does not take the password")
    return connection


def main() -> None:
    """Answer `streams` (which to write to), `write` and `written` (how many to each) until the input ends."""
    writer: StreamWriter | None = None
    for line in sys.stdin:
        question: dict[str, Any] = json.loads(line)
        answer: dict[str, Any] = {}
        if question["ask"] == "streams":
            streams = [_Stream(thread_id, append_command(thread_id)) for thread_id in question["thread_ids"]]
            random.Random(question["seed"]).shuffle(streams)
            writer = StreamWriter(connect(question["redis_url"]), streams)
        elif writer is not None and question["ask"] == "written":
            answer = {stream.thread_id: stream.written for stream in writer.streams}
        elif writer is not None:
            answer = writer.write(count=question["count"], per_second=question["per_second"])
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
