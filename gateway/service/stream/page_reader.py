"""Pages of the log for subscribers that catch up; those at the same position share one read and its frames."""

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from gateway.service.stream.topic import START, StreamTopic
from gateway.service.stream.types import Frame, frame_of
from shared.errors import InvalidStreamIdError
from shared.ids import StreamId, parse_stream_id
from shared.store.events import EventPage


class PageReader(Protocol):
    """Reads the log of a stream from a position."""

    async def page_with_first(self, stream: str, *, after: str, limit: int, most_bytes: int = 0) -> EventPage:
        """Return the entries after `after` and the oldest id, as of one moment; fewer once they have `most_bytes`."""


@dataclass(frozen=True, slots=True)
class FramePage:
    """A page, as its source says; `seen_position` is the topic's position when the read was requested."""

    frames: Sequence[Frame]
    first_id: StreamId | None
    complete_after: StreamId | None
    is_short: bool
    seen_position: StreamId


@dataclass(frozen=True, slots=True)
class PageReading:
    """A page that is being read, or was; `number` counts the reads."""

    number: int
    after: StreamId
    task: asyncio.Task[FramePage]

    async def page(self) -> FramePage:
        """Return the page; raises StoreUnavailableError."""
        return await asyncio.shield(self.task)  # a caller that is cancelled does not cancel the others


class SharedPages:
    """Reads pages; a page that is being read is not requested again. `begun` counts the reads."""

    def __init__(self, reader: PageReader) -> None:
        self.begun = 0
        self._reader = reader
        self._newest: dict[tuple[str, StreamId], PageReading] = {}
        self._tasks: set[asyncio.Task[FramePage]] = set()

    def read(self, topic: StreamTopic, after: StreamId, *, newer_than: int = 0) -> PageReading:
        """Read the entries after `after`, by a read begun after the first `newer_than` reads.

        To see an entry that is known to be written, pass the value of `begun` after the write: an earlier read may
        lack it.
        """
        key = (topic.stream, after)
        reading = self._newest.get(key)
        if reading is None or reading.number <= newer_than:
            reading = self._newest[key] = self._begin(topic, after)
        return reading

    async def close(self) -> None:
        """Cancel all reads."""
        readings = tuple(self._tasks)
        for reading in readings:
            reading.cancel()
        if readings:
            await asyncio.wait(readings)

    def _begin(self, topic: StreamTopic, after: StreamId) -> PageReading:
        self.begun += 1
        task = asyncio.create_task(self._read(topic, after), name="page")
        self._tasks.add(task)
        task.add_done_callback(lambda done: self._forget((topic.stream, after), done))
        return PageReading(self.begun, after, task)

    async def _read(self, topic: StreamTopic, after: StreamId) -> FramePage:
        seen_position, limit = topic.position, topic.page_entries
        most_bytes = topic.page_bytes if topic.large_to > after else 0
        page = await self._reader.page_with_first(topic.stream, after=str(after), limit=limit, most_bytes=most_bytes)
        frames = tuple(frame_of(entry) for entry in page.entries)
        topic.large_to = _parse(page.large_to) or START
        topic.note_sizes(frames)
        topic.has_existed |= page.first_id is not None
        first_id, complete_after = _parse(page.first_id), _parse(page.complete_after)
        kept = tuple(_as_many_as_fit(frames, topic.page_bytes))
        is_short = len(kept) == len(frames) < limit and not page.is_cut
        return FramePage(kept, first_id, complete_after, is_short, seen_position)

    def _forget(self, key: tuple[str, StreamId], done: asyncio.Task[FramePage]) -> None:
        self._tasks.discard(done)
        newest = self._newest.get(key)
        if newest is not None and newest.task is done:  # else another read has replaced it
            del self._newest[key]
        if not done.cancelled():
            done.exception()  # mark it as retrieved; callers get it from the task


def _as_many_as_fit(frames: Iterable[Frame], limit_bytes: int) -> Iterator[Frame]:
    """Yield frames up to a size, but one whatever its size."""
    size = 0
    for frame in frames:
        if size and size + frame.size > limit_bytes:
            return
        size += frame.size
        yield frame


def _parse(entry_id: str | None) -> StreamId | None:
    with suppress(InvalidStreamIdError):
        return None if entry_id is None else parse_stream_id(entry_id)
    return None
