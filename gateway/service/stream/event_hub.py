"""Reads the watched streams of a gateway and delivers new entries to their subscribers.

A Redis notification is only a hint: every stream is also read periodically, and after every (re)connect.
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
from gateway.service.stream.page_reader import SharedPages
from gateway.service.stream.removal_check import RemovalCheck
from gateway.service.stream.subscriber import HubTimings, Subscriber
from gateway.service.stream.timer_wheel import TimerWheel
from gateway.service.stream.topic import StreamEnd, StreamTopic
from shared.ids import StreamId
from shared.store.redis.notifications import NotificationListener, NotificationSource

_SWEPT_PER_SECOND: Final = 300  # streams at most, so that thousands of idle ones cost next to nothing
_SWEEP_SLICE: Final = 128  # streams at once, so that a notified stream waits for few others

logger = logging.getLogger(__name__)


class EventHub:
    """Runs the tasks that read streams for as long as its `async with` block lasts."""

    def __init__(
        self,
        reader: StreamLogReader,
        notifications: NotificationSource,
        *,
        buffer_bytes: int,
        max_length: int = 0,
        timings: HubTimings | None = None,
    ) -> None:
        self.wheel = TimerWheel()  # for the timeouts of its streams
        self._reader = reader
        self._pages = SharedPages(reader)
        self._buffer_bytes = buffer_bytes
        self._max_length = max_length
        self._timings = timings or HubTimings()
        self._topics: dict[str, StreamTopic] = {}
        self._by_channel: dict[str, set[StreamTopic]] = {}
        self._listener = NotificationListener(
            notifications,
            self._timings.listener,
            wanted=self._by_channel.keys(),
            notify=self._request_read_of_all,
            fallback=f"falling back to polling every {self._timings.fallback_poll_interval:g} s",
        )
        self._removals = RemovalCheck(reader)
        self._readers: dict[str, NodeStreamReader] = {}  # by Redis server
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
        """End every stream with `shutdown`, also those opened later."""
        self._closing = True
        self._end_all(StreamEnd.SHUTDOWN)

    def held_bytes(self) -> Iterator[int]:
        """Yield the unsent bytes held for each client."""
        for topic in self._topics.values():
            for subscriber in topic.subscribers:
                yield subscriber.held_bytes

    @contextmanager
    def subscribe(
        self, stream: str, channel: str, cursor: StreamId, *, run_id: str | None = None, only: EventFilter | None = None
    ) -> Iterator[Subscriber]:
        """Yield a subscriber to what comes after `cursor`; appends notify `channel`. Of one run only, if named."""
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
        node = self._reader.node_of(stream)
        if node not in self._readers:
            self._readers[node] = NodeStreamReader(
                self._reader, self._timings, max_length=self._max_length, note_empty=self._removals.suspect
            )
            self._reader_added.set()
        return self._readers[node]

    def _request_read(self, topic: StreamTopic) -> None:
        if node_reader := self._reader_by_topic.get(topic):  # else it has no subscriber left
            node_reader.request_read(topic)

    def _update_reader(self, topic: StreamTopic) -> None:
        """Move a stream that another server has now to the reader of that one: the former may be gone or hang."""
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
        """Keep the tasks running; after an unexpected error end the streams and start all tasks again."""
        while True:
            work = asyncio.create_task(self._work())
            try:
                await asyncio.wait([work])
            finally:
                work.cancel()
                await asyncio.wait([work])
            logger.error("event hub failed; ending its streams", exc_info=work.exception())
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
                for node in self._readers.keys() - running:
                    tasks.create_task(self._readers[node].run())
                running = set(self._readers)
                await self._reader_added.wait()

    async def _sweep(self) -> None:
        while True:
            topics = iter(tuple(self._topics.values()))
            slices = max(1, -(-len(self._topics) // _SWEEP_SLICE))
            for _ in range(slices):
                for topic in islice(topics, _SWEEP_SLICE):
                    self._update_reader(topic)
                    self._request_read(topic)
                await asyncio.sleep(self._sweep_seconds() / slices)

    def _sweep_seconds(self) -> float:
        seconds = (
            self._timings.sweep
            if self._listener.is_connected
            else min(self._timings.sweep, self._timings.fallback_poll_interval)
        )
        return max(seconds, len(self._topics) / _SWEPT_PER_SECOND)
