"""Reads a stream with either client of the SDK in the background, and waits for what it has received."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Coroutine
from typing import Protocol

from baud import AsyncBaud, Baud, Event, StreamCounts, StreamPolicy
from baud.sdk.credential import ApiKey

LIMIT_SECONDS = 30.0
# The gateway's retry times are seconds; the tests do not depend on them.
SHORT_PAUSES = StreamPolicy(first_pause_seconds=0.01, longest_pause_seconds=0.1, longest_outage_seconds=60.0)


class StreamReader:
    """What has been received of one run's stream so far."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.counts = StreamCounts()
        self._grew = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._task: asyncio.Task[None] | None = None

    @property
    def ids(self) -> list[str | None]:
        """The ids of the entries received, in order."""
        return [event.id for event in self.events if event.id is not None]

    def note(self, event: Event) -> None:
        """Add an event, from any thread."""
        self.events.append(event)
        self._loop.call_soon_threadsafe(self._grew.set)

    def start(self, work: Coroutine[object, object, None]) -> None:
        """Read in the background."""
        self._task = asyncio.create_task(work)
        self._task.add_done_callback(lambda _: self._grew.set())

    async def until(self, is_reached: Callable[["StreamReader"], bool]) -> None:
        """Wait until the condition holds."""
        assert self._task is not None
        async with asyncio.timeout(LIMIT_SECONDS):
            while not is_reached(self):
                if self._task.done():
                    await self._task
                    raise AssertionError(f"the stream ended after {self.ids}")
                self._grew.clear()
                await self._grew.wait()

    async def until_end(self) -> None:
        """Wait for the end of the stream."""
        assert self._task is not None
        async with asyncio.timeout(LIMIT_SECONDS):
            await self._task

    async def stop(self) -> None:
        """Leave the stream; a reading thread is not stopped."""
        assert self._task is not None
        self._task.cancel()
        await asyncio.wait([self._task])


class Read(Protocol):
    """Reads a run's stream with one of the clients."""

    def __call__(
        self, reader: StreamReader, url: str | list[str], thread_id: str, run_id: str, *, api_key: ApiKey
    ) -> Coroutine[object, object, None]: ...


async def read_async(
    reader: StreamReader, url: str | list[str], thread_id: str, run_id: str, *, api_key: ApiKey
) -> None:
    """Read with AsyncBaud."""
    async with AsyncBaud(url, api_key=api_key, stream_policy=SHORT_PAUSES) as baud:
        reader.counts = baud.stream_counts
        async for event in baud.run_stream(thread_id, run_id, include_system=True):
            reader.note(event)


async def read_sync(
    reader: StreamReader, url: str | list[str], thread_id: str, run_id: str, *, api_key: ApiKey
) -> None:
    """Read with Baud, in a thread."""

    def read() -> None:
        with Baud(url, api_key=api_key, stream_policy=SHORT_PAUSES) as baud:
            reader.counts = baud.stream_counts
            for event in baud.run_stream(thread_id, run_id, include_system=True):
                reader.note(event)

    await asyncio.to_thread(read)


@contextlib.asynccontextmanager
async def reading(
    read: Read, url: str | list[str], thread_id: str, run_id: str, *, api_key: ApiKey = ""
) -> AsyncGenerator[StreamReader, None]:
    """Yield a reader that is reading; it has to reach the end of its run before the block ends."""
    reader = StreamReader()
    reader.start(read(reader, url, thread_id, run_id, api_key=api_key))
    try:
        yield reader
    finally:
        await reader.stop()
