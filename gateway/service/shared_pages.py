"""Pages of the log for who catches up; followers that stand at the same place share one reading, and its frames."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from gateway.service.channel import Channel
from gateway.service.frame import Frame, frame_of
from shared.ids import StreamId, parse_stream_id
from shared.store.events import Page


class PageReader(Protocol):
    """Reads the log of a stream from a position."""

    async def page_with_first(self, stream: str, *, after: str, limit: int) -> Page:
        """Return the entries behind `after` and the oldest id, as of one moment."""


@dataclass(frozen=True, slots=True)
class FramePage:
    """A page; `seen_position` is where its channel's tail stood when the reading was asked for."""

    frames: Sequence[Frame]
    first_id: StreamId | None
    is_short: bool
    seen_position: StreamId


class SharedPages:
    """Reads pages; one that is being read is not asked for again."""

    def __init__(self, reader: PageReader) -> None:
        self._reader = reader
        self._readings: dict[tuple[str, StreamId], asyncio.Task[FramePage]] = {}

    async def read(self, channel: Channel, after: StreamId) -> FramePage:
        """Return what stands behind `after`; raises StoreUnavailableError."""
        key = (channel.stream, after)
        reading = self._readings.get(key)
        if reading is None:
            reading = asyncio.create_task(self._read(channel, after), name="page")
            self._readings[key] = reading
            reading.add_done_callback(lambda done: self._forget(key, done))
        return await asyncio.shield(reading)  # who leaves takes nothing from the others

    async def close(self) -> None:
        """End what is being read."""
        readings = tuple(self._readings.values())
        for reading in readings:
            reading.cancel()
        if readings:
            await asyncio.wait(readings)

    async def _read(self, channel: Channel, after: StreamId) -> FramePage:
        seen_position, limit = channel.position, channel.page_entries
        page = await self._reader.page_with_first(channel.stream, after=str(after), limit=limit)
        frames = tuple(frame_of(entry) for entry in page.entries)
        channel.note_sizes(frames)
        first_id = None if page.first_id is None else parse_stream_id(page.first_id)
        return FramePage(frames, first_id, len(frames) < limit, seen_position)

    def _forget(self, key: tuple[str, StreamId], done: asyncio.Task[FramePage]) -> None:
        del self._readings[key]
        if not done.cancelled():
            done.exception()  # those who wait for it have it; without any left nobody needs it
