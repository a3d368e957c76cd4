"""How a stream is sent over HTTP, and how it ends when its client leaves or stalls."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from starlette.types import Message, Scope

from gateway.service.stream.event_hub import EventHub
from gateway.service.stream.sse import WIRE_EXTENSION, EventStream
from gateway.service.stream.stream_limits import StreamLimits
from gateway.service.stream.stream_session import EventStreamSession, StreamRequest
from gateway.service.stream.topic import START
from shared.config import GatewayConfig, StreamConfig
from tests.fakes.fake_event_log import FakeEventLog
from tests.fakes.fake_notifications import FakeNotifications

_LIMIT_SECONDS = 5.0


class _FakeConnection:
    """The server's side of one request, and its transport."""

    def __init__(self) -> None:
        self.sent: list[Message] = []
        self.waiting_bytes = 0
        self.is_stuck = False
        self.is_stuck_at_the_end = False
        self.has_left = asyncio.Event()
        self.scope: Scope = {"type": "http", "extensions": {WIRE_EXTENSION: self}}
        self._changed = asyncio.Event()

    def get_write_buffer_size(self) -> int:
        return self.waiting_bytes

    def set_write_buffer_limits(self, high: int) -> None:
        pass

    def abort(self) -> None:
        self.has_left.set()

    async def receive(self) -> Message:
        await self.has_left.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        self.sent.append(message)
        self._changed.set()
        is_end = message["type"] == "http.response.body" and not message["more_body"]
        if (self.is_stuck and len(self.sent) > 2) or (self.is_stuck_at_the_end and is_end):
            await self.has_left.wait()

    async def until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            self._changed.clear()
            await self._changed.wait()


@asynccontextmanager
async def _stream(
    log: FakeEventLog, connection: _FakeConnection, *, send_timeout: float = 30.0, until_completion: bool = False
) -> AsyncIterator[asyncio.Task[None]]:
    request = StreamRequest("t", "stream", "channel", START, until_completion=until_completion)
    config = StreamConfig(send_timeout=send_timeout)
    async with EventHub(log, FakeNotifications(), buffer_bytes=4096) as hub, asyncio.timeout(_LIMIT_SECONDS):
        stream_limits = StreamLimits(GatewayConfig())
        stream = EventStream(EventStreamSession(hub, log, request, config), hub.wheel, stream_limits, config)
        task = asyncio.create_task(stream(connection.scope, connection.receive, connection.send))
        yield task
        await task


async def test_a_stream_begins_with_its_headers_and_the_retry_time() -> None:
    connection = _FakeConnection()
    async with _stream(FakeEventLog(), connection, until_completion=True):
        pass
    headers = dict(connection.sent[0]["headers"])
    assert headers[b"content-type"].startswith(b"text/event-stream")
    assert headers[b"cache-control"] == b"no-cache, no-transform"
    assert headers[b"x-accel-buffering"] == b"no"
    assert b"content-length" not in headers
    assert connection.sent[1]["body"] == b"retry: 3000\n\n"
    assert not connection.sent[-1]["more_body"]


async def test_a_client_that_leaves_ends_its_stream() -> None:
    connection = _FakeConnection()
    async with _stream(FakeEventLog(), connection) as task:
        await connection.until(lambda: len(connection.sent) == 3)
        assert not task.done()
        connection.has_left.set()


async def test_a_client_that_takes_nothing_is_cut() -> None:
    connection = _FakeConnection()
    connection.is_stuck = True
    connection.waiting_bytes = 1000
    async with _stream(FakeEventLog(), connection, send_timeout=0.1):
        await connection.has_left.wait()


async def test_frames_are_joined_up_to_an_eighth_of_what_a_client_may_hold() -> None:
    log, connection = FakeEventLog(), _FakeConnection()
    for _ in range(40):
        log.append("stream", data=b"x" * 10_000)
    log.append("stream", data=b"x" * 50_000)
    async with _stream(log, connection, until_completion=True):
        pass
    sizes = [len(message["body"]) for message in connection.sent[2:-1]]
    assert sum(sizes) > 450_000
    assert sizes[-1] > 50_000
    assert max(sizes[:-1]) <= StreamConfig().client_buffer_bytes / 8


async def test_a_client_that_does_not_take_the_end_of_its_stream_is_cut() -> None:
    connection = _FakeConnection()
    connection.is_stuck_at_the_end = True
    async with _stream(FakeEventLog(), connection, send_timeout=0.1, until_completion=True):
        await connection.has_left.wait()
