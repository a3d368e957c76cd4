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
from gateway.service.stream.node_reader import NodeStreamReader, StreamLogReader
from gateway.service.stream.notification_listener import NotificationListener, NotificationSource
from gateway.service.stream.page_reader import SharedPages
from gateway.service.stream.removal_check import RemovalCheck
from gateway.service.stream.subscriber import HubTimings, Subscriber
from gateway.service.stream.timer_wheel import TimerWheel
from gateway.service.stream.topic import StreamEnd, StreamTopic
from shared.ids import StreamId

_SWEPT_PER_SECOND: Final = 300  # at most, so that thousands of idle streams cost next to nothing
_SWEEP_SLICE: Final = 128  # so many streams at once, so that those that rang wait behind few others

logger = logging.getLogger(__name__)


class EventHub:
    """Owns the tail reader's tasks for as long as its `async with` block lasts."""

    def __init__(
        self,
        reader: StreamLogReader,
        notifications: NotificationSource,
        *,
        buffer_bytes: int,
        max_length: int = 0,
        timings: HubTimings | None = None,
    ) -> None:
        self.wheel = TimerWheel()  # for whatever its streams wait for
        self._reader = reader
        self._pages = SharedPages(reader)
        self._buffer_bytes = buffer_bytes
        self._max_length = max_length
        self._timings = timings or HubTimings()
        self._topics: dict[str, StreamTopic] = {}
        self._by_channel: dict[str, set[StreamTopic]] = {}
        self._listener = NotificationListener(
            notifications, self._timings, wanted=self._by_channel.keys(), notify=self._request_read_of_all
        )
        self._removals = RemovalCheck(reader)
        self._readers: dict[str, NodeStreamReader] = {}  # by place
        self._reader_by_topic: dict[StreamTopic, NodeStreamReader] = {}
        self._reader_added = asyncio.Event()
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
        for topic in self._topics.values():
            for subscriber in topic.subscribers:
                yield subscriber.held_bytes

    @contextmanager
    def follow(
        self, stream: str, channel: str, cursor: StreamId, *, run_id: str | None = None, only: EventFilter | None = None
    ) -> Iterator[Subscriber]:
        """Yield a place behind `cursor` in a stream whose appends ring `channel`; only one run's entries if named."""
        topic = self._topics.get(stream) or self._add(stream, channel)
        subscriber = Subscriber(
            topic, self._pages, cursor, buffer_bytes=self._buffer_bytes, timings=self._timings, run_id=run_id, only=only
        )
        topic.subscribers.add(subscriber)
        if self._closing:
            subscriber.end(StreamEnd.SHUTDOWN)
        try:
            yield subscriber
        finally:
            subscriber.detach()
            topic.subscribers.discard(subscriber)
            if not topic.subscribers:
                self._remove(topic)

    def _add(self, stream: str, channel: str) -> StreamTopic:
        node_reader = self._reader_of(stream)
        topic = StreamTopic(stream, channel, page_bytes=self._buffer_bytes, request_read=self._request_read)
        node_reader.add(topic)
        self._reader_by_topic[topic] = node_reader
        self._topics[stream] = topic
        self._by_channel.setdefault(channel, set()).add(topic)
        self._listener.note_change(channel)
        return topic

    def _remove(self, topic: StreamTopic) -> None:
        del self._topics[topic.stream]
        self._reader_by_topic.pop(topic).remove(topic)
        sharing = self._by_channel[topic.channel]
        sharing.discard(topic)
        if not sharing:
            del self._by_channel[topic.channel]
            self._listener.note_change(topic.channel)

    def _reader_of(self, stream: str) -> NodeStreamReader:
        place = self._reader.place(stream)
        if place not in self._readers:
            self._readers[place] = NodeStreamReader(
                self._reader, self._timings, max_length=self._max_length, note_empty=self._removals.suspect
            )
            self._reader_added.set()
        return self._readers[place]

    def _request_read(self, topic: StreamTopic) -> None:
        if node_reader := self._reader_by_topic.get(topic):  # else nobody follows it any more
            node_reader.request_read(topic)

    def _follow_place(self, topic: StreamTopic) -> None:
        """Have a stream whose slot has moved read with those of its new place: the old one may be gone or hang."""
        node_reader, former = self._reader_of(topic.stream), self._reader_by_topic.get(topic)
        if former is not None and node_reader is not former:
            former.remove(topic)
            node_reader.add(topic)
            self._reader_by_topic[topic] = node_reader

    def _request_read_of_all(self, channel: str) -> None:
        for topic in self._by_channel.get(channel, ()):
            topic.request_read(topic)

    def _end_all(self, reason: StreamEnd) -> None:
        for topic in self._topics.values():
            topic.end(reason)

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
            await asyncio.sleep(self._timings.retry)

    async def _work(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._run_readers())
            tasks.create_task(self._sweep())
            tasks.create_task(self._removals.run())
            tasks.create_task(self._listener.run())

    async def _run_readers(self) -> None:
        running: set[str] = set()
        async with asyncio.TaskGroup() as tasks:
            while True:
                self._reader_added.clear()
                for place in self._readers.keys() - running:
                    tasks.create_task(self._readers[place].run())
                running = set(self._readers)
                await self._reader_added.wait()

    async def _sweep(self) -> None:
        while True:
            topics = iter(tuple(self._topics.values()))
            slices = max(1, -(-len(self._topics) // _SWEEP_SLICE))
            for _ in range(slices):
                for topic in islice(topics, _SWEEP_SLICE):
                    self._follow_place(topic)
                    self._request_read(topic)
                await asyncio.sleep(self._sweep_seconds() / slices)

    def _sweep_seconds(self) -> float:
        seconds = (
            self._timings.sweep
            if self._listener.is_connected
            else min(self._timings.sweep, self._timings.fallback_poll_interval)
        )
        return max(seconds, len(self._topics) / _SWEPT_PER_SECOND)
