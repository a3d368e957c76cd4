"""The one tail reader of a gateway: hears the bells of watched streams, reads what rang, hands it to all followers.

A bell is a hint only: after every (re)connect of the bells, and every few seconds in slices, streams are read anyway.
"""

import asyncio
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from types import TracebackType
from typing import Final, Protocol, Self

from gateway.service.bell_watch import BellLines, BellWatch
from gateway.service.channel import Channel, StreamEnd
from gateway.service.event_filter import EventFilter
from gateway.service.follower import Follower, Pace
from gateway.service.frame import frame_of
from gateway.service.shared_pages import PageReader, SharedPages
from gateway.service.timer_wheel import TimerWheel
from shared.contract.event import StreamEntry
from shared.errors import StoreUnavailableError
from shared.ids import StreamId

_TAIL_ENTRIES: Final = 500  # of one stream in one read; one that has more is caught up by pages
_STREAMS_PER_READ: Final = 256
_SWEPT_PER_SECOND: Final = 500  # at most, so that thousands of idle streams cost next to nothing
_SWEEP_SLICE: Final = 128  # so many streams at once, so that those that rang wait behind few others

logger = logging.getLogger(__name__)


class TailReader(PageReader, Protocol):
    """Reads pages, and many tails at once."""

    async def tails(self, positions: Mapping[str, str], *, limit: int) -> dict[str, list[StreamEntry]]:
        """Return what stands behind each position without blocking."""


class EventHub:
    """Owns the tail reader's tasks for as long as its `async with` block lasts."""

    def __init__(
        self, reader: TailReader, bells: BellLines, *, buffer_bytes: int, max_length: int = 0, pace: Pace | None = None
    ) -> None:
        self.wheel = TimerWheel()  # for whatever its streams wait for
        self._reader = reader
        self._pages = SharedPages(reader)
        self._buffer_bytes = buffer_bytes
        # A log is trimmed to no less than `max_length`: a reading that brings fewer entries has missed none.
        self._tail_entries = min(max_length or _TAIL_ENTRIES, _TAIL_ENTRIES)
        self._pace = pace or Pace()
        self._channels: dict[str, Channel] = {}
        self._by_bell: dict[str, set[Channel]] = {}
        self._watch = BellWatch(bells, self._pace, wanted=self._by_bell.keys(), ring=self._mark_all)
        self._dirty: dict[Channel, None] = {}
        self._something_dirty = asyncio.Event()
        self._lost_since: float | None = None
        self._closing = False
        self._supervisor: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._supervisor = asyncio.create_task(self._supervise(), name="event hub")
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.shut_down()
        if self._supervisor is not None:
            self._supervisor.cancel()
            await asyncio.wait([self._supervisor])
        await self._pages.close()

    def shut_down(self) -> None:
        """End every stream with `shutdown`, those that are opened later too."""
        self._closing = True
        self._end_all(StreamEnd.SHUTDOWN)

    def held_bytes(self) -> Iterator[int]:
        """Yield for each client what waits here for it."""
        for channel in self._channels.values():
            for follower in channel.followers:
                yield follower.held_bytes

    @contextmanager
    def follow(
        self, stream: str, bell: str, cursor: StreamId, *, run_id: str | None = None, only: EventFilter | None = None
    ) -> Iterator[Follower]:
        """Yield a place behind `cursor` in a stream whose appends ring `bell`; only one run's entries if named."""
        channel = self._channels.get(stream) or self._add(stream, bell)
        follower = Follower(
            channel, self._pages, cursor, buffer_bytes=self._buffer_bytes, pace=self._pace, run_id=run_id, only=only
        )
        channel.followers.add(follower)
        if self._closing:
            follower.end(StreamEnd.SHUTDOWN)
        try:
            yield follower
        finally:
            follower.detach()
            channel.followers.discard(follower)
            if not channel.followers:
                self._remove(channel)

    def _add(self, stream: str, bell: str) -> Channel:
        channel = Channel(stream, bell, page_bytes=self._buffer_bytes, mark=self._mark)
        self._channels[stream] = channel
        self._by_bell.setdefault(bell, set()).add(channel)
        self._watch.note_change(bell)
        return channel

    def _remove(self, channel: Channel) -> None:
        del self._channels[channel.stream]
        self._dirty.pop(channel, None)
        sharing = self._by_bell[channel.bell]
        sharing.discard(channel)
        if not sharing:
            del self._by_bell[channel.bell]
            self._watch.note_change(channel.bell)

    def _mark(self, channel: Channel) -> None:
        self._dirty[channel] = None
        self._something_dirty.set()

    def _mark_all(self, bell: str) -> None:
        for channel in self._by_bell.get(bell, ()):
            self._mark(channel)

    def _end_all(self, reason: StreamEnd) -> None:
        for channel in self._channels.values():
            for follower in channel.followers:
                follower.end(reason)

    async def _supervise(self) -> None:
        """Keep the tasks running; a fault in one is logged, ends the streams, and all are started again."""
        while True:
            work = asyncio.create_task(self._work())
            try:
                await asyncio.wait([work])
            finally:
                work.cancel()
                await asyncio.wait([work])
            logger.error("the event hub failed; its streams are ended", exc_info=work.exception())
            self._end_all(StreamEnd.FAILED)
            await asyncio.sleep(self._pace.retry)

    async def _work(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._read_tails())
            tasks.create_task(self._sweep())
            tasks.create_task(self._watch.run())

    async def _read_tails(self) -> None:
        while True:
            await self._something_dirty.wait()
            batch = self._take_dirty()
            try:
                await self._read(batch)
            except StoreUnavailableError:
                self._dirty.update(dict.fromkeys(batch))
                await self._bear_loss()
            else:
                self._lost_since = None
            if self._dirty:
                self._something_dirty.set()

    def _take_dirty(self) -> list[Channel]:
        self._something_dirty.clear()
        batch = [channel for channel in self._dirty if channel.joined][:_STREAMS_PER_READ]
        if len(batch) < _STREAMS_PER_READ:
            self._dirty.clear()
        for channel in batch:
            self._dirty.pop(channel, None)
        return batch

    async def _read(self, batch: Sequence[Channel]) -> None:
        issued = {channel: channel.position for channel in batch}
        if not issued:
            return
        positions = {channel.stream: str(position) for channel, position in issued.items()}
        found = await self._reader.tails(positions, limit=self._tail_entries)
        for channel, position in issued.items():
            entries = found.get(channel.stream)
            if entries:
                self._hand_out(channel, position, entries)

    def _hand_out(self, channel: Channel, issued_from: StreamId, entries: Sequence[StreamEntry]) -> None:
        if len(entries) >= self._tail_entries:
            # So far behind that the log may have been trimmed meanwhile, which only reading by pages can tell.
            for follower in tuple(channel.joined):
                follower.detach()
        elif not channel.deliver(issued_from, [frame_of(entry) for entry in entries]):
            self._mark(channel)

    async def _bear_loss(self) -> None:
        now = asyncio.get_running_loop().time()
        self._lost_since = self._lost_since or now
        if now - self._lost_since > self._pace.give_up:
            self._end_all(StreamEnd.UNAVAILABLE)
        await asyncio.sleep(self._pace.retry)

    async def _sweep(self) -> None:
        while True:
            channels = iter(tuple(self._channels.values()))
            slices = max(1, -(-len(self._channels) // _SWEEP_SLICE))
            for _ in range(slices):
                for channel in islice(channels, _SWEEP_SLICE):
                    self._mark(channel)
                await asyncio.sleep(self._sweep_seconds() / slices)

    def _sweep_seconds(self) -> float:
        seconds = self._pace.sweep if self._watch.is_heard else min(self._pace.sweep, self._pace.deaf_sweep)
        return max(seconds, len(self._channels) / _SWEPT_PER_SECOND)
