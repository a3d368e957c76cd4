"""One client's place in a stream: catching up from the log, joining the tail, a bounded buffer.

A follower never misses and never repeats an entry: it reads pages until one comes short, and joins the tail only
if the tail is not ahead of it. One whose buffer is full goes back to reading pages, at its own speed.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from gateway.service.channel import START, Channel, StreamEnd
from gateway.service.sse import Frame, encode_entry
from shared.errors import StoreUnavailableError
from shared.ids import StreamId, parse_stream_id
from shared.store.events import Page

_PAGE_ENTRIES: Final = 100


@dataclass(frozen=True, slots=True)
class Pace:
    """How long things are waited for, in seconds."""

    sweep: float = 2.0  # every watched stream is read so often, bell or not
    retry: float = 0.5  # between two tries to reach a Redis that does not answer
    give_up: float = 10.0  # without Redis for so long, streams are ended
    silence: float = 6.0  # the line of the bells is pinged; silent for so long it is dead


@dataclass(frozen=True, slots=True)
class Gap:
    """Entries behind `requested` are gone; the log begins with `first_available`."""

    requested: StreamId
    first_available: StreamId


@dataclass(frozen=True, slots=True)
class Batch:
    """What comes next in a stream; everything empty when nothing came within the time given."""

    frames: Sequence[Frame] = ()
    gap: Gap | None = None
    is_caught_up: bool = False  # the tail was reached with this batch
    end: StreamEnd | None = None


_NOTHING: Final = Batch()


class PageReader(Protocol):
    """Reads the log of a stream from a position."""

    async def page_with_first(self, stream: str, *, after: str, limit: int) -> Page:
        """Return the entries behind `after` and the oldest id, as of one moment."""


class Follower:
    """One client's place in a stream: `cursor` is the last entry that was handed to it."""

    def __init__(
        self,
        channel: Channel,
        reader: PageReader,
        cursor: StreamId,
        *,
        buffer_bytes: int,
        pace: Pace,
        run_id: str | None = None,
    ) -> None:
        self.cursor = cursor
        self._channel = channel
        self._reader = reader
        self._limit = buffer_bytes
        self._pace = pace
        self._run_id = run_id
        self._buffer: deque[Frame] = deque()
        self._buffered = 0
        self._end: StreamEnd | None = None
        self._failing_since: float | None = None
        self._wake = asyncio.Event()

    def offer(self, frames: Sequence[Frame]) -> None:
        """Buffer frames of the tail; without room for them the follower is detached instead."""
        for frame in frames:
            if frame.id <= self.cursor or not self._wants(frame):
                continue
            if self._buffer and self._buffered + len(frame.payload) > self._limit:
                self.detach()
                return
            self._buffer.append(frame)
            self._buffered += len(frame.payload)
        self._wake.set()

    def detach(self) -> None:
        """Leave the tail: what is buffered is forgotten and read again from the log."""
        self._channel.joined.discard(self)
        self._buffer.clear()
        self._buffered = 0
        self._wake.set()

    def end(self, reason: StreamEnd) -> None:
        """End this stream; the next batch says why."""
        self._end = self._end or reason
        self._wake.set()

    async def next(self, timeout_seconds: float) -> Batch:
        """Return what comes next as soon as there is something, or an empty batch after the time given."""
        try:
            async with asyncio.timeout(timeout_seconds):
                while True:
                    self._wake.clear()
                    batch = await self._read()
                    if batch != _NOTHING:
                        return batch
                    await self._wake.wait()
        except TimeoutError:
            return _NOTHING

    async def _read(self) -> Batch:
        if self._end is not None:
            return Batch(end=self._end)
        if self in self._channel.joined:
            return self._take()
        return await self._catch_up()

    def _take(self) -> Batch:
        frames = tuple(self._buffer)
        if not frames:
            return _NOTHING
        self.cursor = frames[-1].id
        self._buffer.clear()
        self._buffered = 0
        return Batch(frames)

    async def _catch_up(self) -> Batch:
        """Return one page; a page that came short joins the tail. The next call is due at once otherwise."""
        requested, seen_position = self.cursor, self._channel.position
        try:
            page = await self._reader.page_with_first(self._channel.stream, after=str(requested), limit=_PAGE_ENTRIES)
        except StoreUnavailableError:
            await self._bear_failure()
            return _NOTHING
        self._failing_since = None
        frames = tuple(encode_entry(entry) for entry in page.entries)
        if frames:
            self.cursor = frames[-1].id
        is_short = len(frames) < _PAGE_ENTRIES
        is_caught_up = is_short and self._channel.join(self, seen_position=seen_position)
        if not is_caught_up:
            self._wake.set()
        return Batch(tuple(filter(self._wants, frames)), _find_gap(requested, page), is_caught_up)

    async def _bear_failure(self) -> None:
        now = asyncio.get_running_loop().time()
        self._failing_since = self._failing_since or now
        if now - self._failing_since > self._pace.give_up:
            self.end(StreamEnd.UNAVAILABLE)
        else:
            await asyncio.sleep(self._pace.retry)
        self._wake.set()

    def _wants(self, frame: Frame) -> bool:
        return self._run_id is None or frame.run_id == self._run_id


def _find_gap(requested: StreamId, page: Page) -> Gap | None:
    if page.first_id is None or page.whole_after is None or requested == START:
        return None
    return Gap(requested, parse_stream_id(page.first_id)) if parse_stream_id(page.whole_after) > requested else None
