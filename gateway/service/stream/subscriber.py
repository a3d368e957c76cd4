"""One client's place in a stream: catching up from the log, joining the tail, a bounded buffer.

A follower never misses and never repeats an entry: it reads pages until one comes short, and joins the tail only
if the tail is not ahead of it. One whose buffer is full goes back to reading pages, at its own speed.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from gateway.service.stream.event_filter import EventFilter
from gateway.service.stream.page_reader import FramePage, SharedPages
from gateway.service.stream.topic import START, StreamEnd, StreamTopic
from gateway.service.stream.types import Frame
from shared.errors import StoreUnavailableError
from shared.ids import StreamId


@dataclass(frozen=True, slots=True)
class HubTimings:
    """How long things are waited for, in seconds."""

    sweep: float = 5.0  # every watched stream is read so often, bell or not
    fallback_poll_interval: float = 2.0  # the same while no bell can be heard
    batch_interval: float = (
        0.001  # between two readings of the bells: those of a busy time are heard, and answered, together
    )
    retry: float = 0.5  # between two tries to reach a Redis that does not answer
    give_up: float = 10.0  # without Redis for so long, streams are ended
    dead_after: float = 6.0  # the line of the bells is pinged; silent for so long it is dead


@dataclass(frozen=True, slots=True)
class Gap:
    """Entries behind `requested` are gone; the log begins with `first_available`."""

    requested: StreamId
    first_available: StreamId


@dataclass(frozen=True, slots=True)
class Batch:
    """What comes next in a stream; everything empty when nothing came before the follower was nudged."""

    frames: Sequence[Frame] = ()
    gap: Gap | None = None
    is_caught_up: bool = False  # the tail was reached with this batch
    end: StreamEnd | None = None


_NOTHING: Final = Batch()


class Subscriber:
    """One client's place in a stream: `cursor` is the last entry that was handed to it or that it does not want.

    `passed_at` is the loop's time at which an entry was last passed over, which is a sign of life of the log.
    """

    def __init__(
        self,
        topic: StreamTopic,
        pages: SharedPages,
        cursor: StreamId,
        *,
        buffer_bytes: int,
        timings: HubTimings,
        run_id: str | None = None,
        only: EventFilter | None = None,
    ) -> None:
        self.cursor = cursor
        self.passed_at = 0.0
        self._topic = topic
        self._pages = pages
        self._limit = buffer_bytes
        self._timings = timings
        self._run_id = run_id
        self._only = only
        self._offered = cursor  # the last entry of the tail that was looked at; ahead of the cursor while one waits
        self._buffer: list[Frame] = []
        self._buffered = 0
        self._in_hand = 0  # bytes of the last batch, until the next is asked for: its client still takes them
        self._read_behind = 0  # pages of earlier readings do not count
        self._end: StreamEnd | None = None
        self._failing_since: float | None = None
        self._is_due = False  # there may be something new since the last look
        self._is_nudged = False
        self._waiter: asyncio.Future[None] | None = None

    @property
    def held_bytes(self) -> int:
        """What waits here for the client."""
        return self._buffered + self._in_hand

    def offer(self, frames: Sequence[Frame]) -> None:
        """Buffer frames of the tail; without room for them the follower is detached instead."""
        for frame in frames:
            if frame.id <= self._offered:
                continue
            if not self._wants(frame):
                self._note_passed()
            elif self.held_bytes and self.held_bytes + frame.size > self._limit:
                self.detach()
                return
            else:
                self._buffer.append(frame)
                self._buffered += frame.size
            self._offered = frame.id
        if self._buffer:
            self._wake()
        else:
            self.cursor = self._offered

    def detach(self) -> None:
        """Leave the tail: what is buffered is forgotten and read again from the log."""
        self._topic.live.discard(self)
        self._buffer.clear()
        self._buffered = 0
        self._offered = self.cursor
        self._wake()

    def look_again(self) -> None:
        """Leave the tail for what the log holds from this moment on."""
        self._read_behind = self._pages.begun
        self.detach()

    async def look_again_later(self) -> None:
        """Do so after the time that a Redis is given which did not answer."""
        await asyncio.sleep(self._timings.retry)
        self.look_again()

    def end(self, reason: StreamEnd) -> None:
        """End this stream; the next batch says why."""
        self._end = self._end or reason
        self._wake()

    def nudge(self) -> None:
        """Have `next` return, with or without something."""
        self._is_nudged = True
        self._wake()

    async def next(self) -> Batch:
        """Return what comes next as soon as there is something, or an empty batch after a nudge."""
        while True:
            self._is_due = False
            self._in_hand = 0
            batch = await self._read()
            if batch != _NOTHING or self._is_nudged:
                self._is_nudged = False
                return batch
            await self._sleep()

    def _wake(self) -> None:
        self._is_due = True
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def _sleep(self) -> None:
        if self._is_due:
            return
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    async def _read(self) -> Batch:
        # What was read before its log was removed is still handed on: nobody can read it again.
        if self._end is not None and not (self._end is StreamEnd.DELETED and self._buffer):
            return Batch(end=self._end)
        if self in self._topic.live:
            return self._take()
        return await self._catch_up()

    def _take(self) -> Batch:
        frames = tuple(self._buffer)
        if not frames:
            return _NOTHING
        self.cursor = self._offered
        self._buffer.clear()
        self._in_hand, self._buffered = self._buffered, 0
        return Batch(frames)

    async def _catch_up(self) -> Batch:
        """Return one page; a page that came short joins the tail. The next call is due at once otherwise."""
        requested = self.cursor
        try:
            page = await self._pages.read(self._topic, requested, behind=self._read_behind)
        except StoreUnavailableError:
            await self._bear_failure()
            return _NOTHING
        self._failing_since = None
        frames = tuple(filter(self._wants, page.frames))
        if len(frames) < len(page.frames):
            self._note_passed()
        if page.frames:
            self.cursor = self._offered = page.frames[-1].id
        is_caught_up = page.is_short and self._topic.join(self, seen_position=page.seen_position)
        if not is_caught_up:
            self._wake()
        self._in_hand = sum(frame.size for frame in frames)
        return Batch(frames, _find_gap(requested, page), is_caught_up)

    async def _bear_failure(self) -> None:
        now = asyncio.get_running_loop().time()
        self._failing_since = self._failing_since or now
        if now - self._failing_since > self._timings.give_up:
            self.end(StreamEnd.UNAVAILABLE)
        else:
            await asyncio.sleep(self._timings.retry)
        self._wake()

    def _wants(self, frame: Frame) -> bool:
        if self._run_id is not None and frame.run_id != self._run_id:
            return False
        return self._only is None or self._only.passes(frame)

    def _note_passed(self) -> None:
        self.passed_at = asyncio.get_running_loop().time()


def _find_gap(requested: StreamId, page: FramePage) -> Gap | None:
    if page.first_id is None or page.whole_after is None or requested == START:
        return None
    return Gap(requested, page.first_id) if page.whole_after > requested else None
