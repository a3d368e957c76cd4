"""The one tail reader of a gateway: hears the bells of watched streams, has what rang read and handed to all followers.

A bell is a hint only: after every (re)connect of the bells, and every few seconds in slices, streams are read anyway.
"""

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from types import TracebackType
from typing import Final, Self

from gateway.service.stream.event_filter import EventFilter
from gateway.service.stream.node_reader import TailLane, TailReader
from gateway.service.stream.notification_listener import BellLines, BellWatch
from gateway.service.stream.page_reader import SharedPages
from gateway.service.stream.removal_check import RemovalCheck
from gateway.service.stream.subscriber import Follower, Pace
from gateway.service.stream.timer_wheel import TimerWheel
from gateway.service.stream.topic import Channel, StreamEnd
from shared.ids import StreamId

_SWEPT_PER_SECOND: Final = 300  # at most, so that thousands of idle streams cost next to nothing
_SWEEP_SLICE: Final = 128  # so many streams at once, so that those that rang wait behind few others

logger = logging.getLogger(__name__)


class EventHub:
    """Owns the tail reader's tasks for as long as its `async with` block lasts."""

    def __init__(
        self, reader: TailReader, bells: BellLines, *, buffer_bytes: int, max_length: int = 0, pace: Pace | None = None
    ) -> None:
        self.wheel = TimerWheel()  # for whatever its streams wait for
        self._reader = reader
        self._pages = SharedPages(reader)
        self._buffer_bytes = buffer_bytes
        self._max_length = max_length
        self._pace = pace or Pace()
        self._channels: dict[str, Channel] = {}
        self._by_bell: dict[str, set[Channel]] = {}
        self._watch = BellWatch(bells, self._pace, wanted=self._by_bell.keys(), ring=self._mark_all)
        self._removals = RemovalCheck(reader)
        self._lanes: dict[str, TailLane] = {}  # by place
        self._lane_by_channel: dict[Channel, TailLane] = {}
        self._lane_added = asyncio.Event()
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
        lane = self._lane_of(stream)
        channel = Channel(stream, bell, page_bytes=self._buffer_bytes, mark=self._mark)
        lane.add(channel)
        self._lane_by_channel[channel] = lane
        self._channels[stream] = channel
        self._by_bell.setdefault(bell, set()).add(channel)
        self._watch.note_change(bell)
        return channel

    def _remove(self, channel: Channel) -> None:
        del self._channels[channel.stream]
        self._lane_by_channel.pop(channel).remove(channel)
        sharing = self._by_bell[channel.bell]
        sharing.discard(channel)
        if not sharing:
            del self._by_bell[channel.bell]
            self._watch.note_change(channel.bell)

    def _lane_of(self, stream: str) -> TailLane:
        place = self._reader.place(stream)
        if place not in self._lanes:
            self._lanes[place] = TailLane(
                self._reader, self._pace, max_length=self._max_length, note_empty=self._removals.suspect
            )
            self._lane_added.set()
        return self._lanes[place]

    def _mark(self, channel: Channel) -> None:
        if lane := self._lane_by_channel.get(channel):  # else nobody follows it any more
            lane.mark(channel)

    def _follow_place(self, channel: Channel) -> None:
        """Have a stream whose slot has moved read with those of its new place: the old one may be gone or hang."""
        lane, former = self._lane_of(channel.stream), self._lane_by_channel.get(channel)
        if former is not None and lane is not former:
            former.remove(channel)
            lane.add(channel)
            self._lane_by_channel[channel] = lane

    def _mark_all(self, bell: str) -> None:
        for channel in self._by_bell.get(bell, ()):
            channel.mark(channel)

    def _end_all(self, reason: StreamEnd) -> None:
        for channel in self._channels.values():
            channel.end(reason)

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
            tasks.create_task(self._run_lanes())
            tasks.create_task(self._sweep())
            tasks.create_task(self._removals.run())
            tasks.create_task(self._watch.run())

    async def _run_lanes(self) -> None:
        running: set[str] = set()
        async with asyncio.TaskGroup() as tasks:
            while True:
                self._lane_added.clear()
                for place in self._lanes.keys() - running:
                    tasks.create_task(self._lanes[place].run())
                running = set(self._lanes)
                await self._lane_added.wait()

    async def _sweep(self) -> None:
        while True:
            channels = iter(tuple(self._channels.values()))
            slices = max(1, -(-len(self._channels) // _SWEEP_SLICE))
            for _ in range(slices):
                for channel in islice(channels, _SWEEP_SLICE):
                    self._follow_place(channel)
                    self._mark(channel)
                await asyncio.sleep(self._sweep_seconds() / slices)

    def _sweep_seconds(self) -> float:
        seconds = self._pace.sweep if self._watch.is_heard else min(self._pace.sweep, self._pace.deaf_sweep)
        return max(seconds, len(self._channels) / _SWEPT_PER_SECOND)
