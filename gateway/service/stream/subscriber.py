"""One client's position in a stream: it catches up from the log, then receives live entries in a bounded buffer.

A subscriber never misses and never repeats an entry: it reads pages until one is short, and becomes live only if the
stream was not read beyond its cursor. One whose buffer is full goes back to reading pages, at its own speed.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from gateway.service.stream.event_filter import EventFilter
from gateway.service.stream.page_reader import FramePage, PageReading, SharedPages
from gateway.service.stream.topic import START, StreamEnd, StreamTopic
from gateway.service.stream.types import Burst, Frame
from shared.errors import StoreUnavailableError
from shared.ids import StreamId
from shared.store.redis.notifications import ListenerTimings


@dataclass(frozen=True, slots=True)
class HubTimings:
    """Intervals and timeouts, in seconds."""

    sweep: float = 5.0  # every watched stream is read at this interval, notified or not
    fallback_poll_interval: float = 2.0  # the same while Redis pub/sub is lost
    retry: float = 0.5  # between two attempts to reach a Redis that does not answer
    give_up: float = 10.0  # streams end when Redis has not answered for so long
    listener: ListenerTimings = field(default_factory=ListenerTimings)  # of the pub/sub connection


@dataclass(frozen=True, slots=True)
class MissingEvents:
    """Entries after `requested` are gone; the log begins with `first_available`."""

    requested: StreamId
    first_available: StreamId


@dataclass(frozen=True, slots=True)
class Batch:
    """What comes next in a stream; empty when nothing came before the subscriber was nudged."""

    frames: Sequence[Frame] = ()
    gap: MissingEvents | None = None
    is_caught_up: bool = False  # the end of the log was reached with this batch
    end: StreamEnd | None = None


_NOTHING: Final = Batch()


class DirectSender(Protocol):
    """Sends to a client without a task of its own."""

    def send(self, burst: Burst) -> bool:
        """Send at once; False when that is not possible, and then nothing was sent."""


class Subscriber:
    """One client's position in a stream: `cursor` is the last entry that was handed to it or filtered out.

    `passed_at` is the loop's time at which an entry was last filtered out, which counts as activity of the log.
    With a `direct` sender new frames go to the client at once while nothing before them is unsent.
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
        self.direct: DirectSender | None = None
        self._topic = topic
        self._pages = pages
        self._limit = buffer_bytes
        self._timings = timings
        self._run_id = run_id
        self._only = only
        self._offered = cursor  # the last live entry that was seen; ahead of the cursor while frames are buffered
        self._buffer: list[Frame] = []
        self._buffered = 0
        self._in_hand = 0  # bytes of the last batch until the next is asked for: they are still being sent
        self._stale_reads = 0  # pages of the first so many reads are too old
        self._ahead: PageReading | None = None  # the next page, read while the last one is being sent
        self._end: StreamEnd | None = None
        self._failing_since: float | None = None
        self._is_due = False  # there may be something new since the last read
        self._is_nudged = False
        self._waiter: asyncio.Future[None] | None = None

    @property
    def held_bytes(self) -> int:
        """The unsent bytes held here for the client."""
        ahead = self._ahead is not None and self._ahead.task.done() and _size(self._ahead.task.result())
        return self._buffered + self._in_hand + ahead

    def offer(self, burst: Burst, *, at_once: bool) -> None:
        """Send new frames at once, or buffer them; when they do not fit, detach instead."""
        if at_once and self.direct is not None and self._is_waiting() and self._send(self.direct, burst):
            return
        for frame in burst.frames:
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

    def _is_waiting(self) -> bool:
        """Whether everything before was sent: the client's task waits in `next`, and nothing has woken it."""
        return self._waiter is not None and not self._waiter.done()

    def _send(self, direct: DirectSender, burst: Burst) -> bool:
        """Send what this client wants of a burst; an end may close the stream, which is for its task to decide."""
        if burst.has_final or burst.frames[0].id <= self._offered:
            return False
        wanted = burst
        if self._run_id is not None or self._only is not None:
            frames = [frame for frame in burst.frames if self._wants(frame)]
            if not frames:
                return False
            wanted = burst if len(frames) == len(burst.frames) else Burst(frames)
        if not direct.send(wanted):
            return False
        if wanted is not burst:
            self._note_passed()
        self.cursor = self._offered = burst.frames[-1].id
        return True

    def detach(self) -> None:
        """Be live no longer: what is buffered is dropped and read again from the log."""
        self._topic.live.discard(self)
        self._buffer.clear()
        self._buffered = 0
        self._offered = self.cursor
        self._wake()

    def read_again(self) -> None:
        """Detach and read what the log holds from this moment on."""
        self._stale_reads = self._pages.begun
        self.detach()

    async def read_again_later(self) -> None:
        """Do so after the retry interval."""
        await asyncio.sleep(self._timings.retry)
        self.read_again()

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
        # What was read before the log was removed is still delivered: it cannot be read again.
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
        """Return one page and become live if it is short; otherwise the next call is due at once."""
        requested = self.cursor
        try:
            page = await self._reading(requested).page()
        except StoreUnavailableError:
            await self._handle_outage()
            return _NOTHING
        self._failing_since = None
        frames = tuple(filter(self._wants, page.frames))
        if len(frames) < len(page.frames):
            self._note_passed()
        if page.frames:
            self.cursor = self._offered = page.frames[-1].id
        is_caught_up = page.is_short and self._topic.go_live(self, seen_position=page.seen_position)
        if not is_caught_up:
            self._wake()
        self._in_hand = sum(frame.size for frame in frames)
        if not page.is_short and self._in_hand <= self._limit // 2 and self._topic.is_little_read():
            self._read_ahead()
        return Batch(frames, _find_gap(requested, page), is_caught_up)

    def _reading(self, after: StreamId) -> PageReading:
        """Return the read of the page after this entry: the one ahead, unless it is too old."""
        ahead, self._ahead = self._ahead, None
        if ahead is not None and ahead.after == after and ahead.number > self._stale_reads:
            return ahead
        return self._pages.read(self._topic, after, newer_than=self._stale_reads)

    def _read_ahead(self) -> None:
        """Read the next page while this one is sent; one that would be too much to hold is read again later."""
        self._ahead = self._pages.read(self._topic, self.cursor, newer_than=self._stale_reads)
        self._ahead.task.add_done_callback(self._drop_large_page)

    def _drop_large_page(self, done: asyncio.Task[FramePage]) -> None:
        if self._ahead is None or self._ahead.task is not done:
            return
        if done.cancelled() or done.exception() or self._in_hand + _size(done.result()) > self._limit:
            self._ahead = None

    async def _handle_outage(self) -> None:
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


def _size(page: FramePage) -> int:
    return sum(frame.size for frame in page.frames)


def _find_gap(requested: StreamId, page: FramePage) -> MissingEvents | None:
    if page.first_id is None or page.complete_after is None or requested == START:
        return None
    return MissingEvents(requested, page.first_id) if page.complete_after > requested else None
