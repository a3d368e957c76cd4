"""Reads new entries of all streams of one Redis server, so that a slow or dead one delays only its own streams."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol

from gateway.service.stream.page_reader import PageReader
from gateway.service.stream.removal_check import StreamRegistry
from gateway.service.stream.subscriber import HubTimings
from gateway.service.stream.topic import StreamEnd, StreamTopic
from gateway.service.stream.types import frame_of
from shared.contract.event import StreamEntry
from shared.errors import StoreUnavailableError, UnreadableRecordError
from shared.ids import LAST_STREAM_ID, StreamId

_MAX_ENTRIES: Final = 500  # of one stream in one read; a stream that has more is caught up by pages
_FEW_ENTRIES: Final = 8  # of a stream whose entries are so large that fewer fill a page
_STREAMS_PER_READ: Final = 256
_DELIVERED_AT_ONCE: Final = 250  # entries and clients, some milliseconds


class StreamLogReader(PageReader, StreamRegistry, Protocol):
    """Reads pages, and new entries of many streams at once; knows which streams exist."""

    async def read_after(self, positions: Mapping[str, str], *, limit: int) -> dict[str, list[StreamEntry]]:
        """Return the entries after each position without blocking."""

    def node_of(self, stream: str) -> str:
        """Return the name of the Redis server that has a stream; streams of one server are read together."""


class NodeStreamReader:
    """Reads the streams of one server for which a read was requested."""

    def __init__(
        self,
        reader: StreamLogReader,
        timings: HubTimings,
        *,
        max_length: int,
        note_empty: Callable[[StreamTopic], None],
    ) -> None:
        self._reader = reader
        self._note_empty = note_empty
        self._timings = timings
        # A log is trimmed to no less than `max_length`: a read that returns fewer entries has missed none.
        self._max_entries = min(max_length or _MAX_ENTRIES, _MAX_ENTRIES)
        self._topics: set[StreamTopic] = set()
        self._dirty: dict[StreamTopic, None] = {}
        self._something_dirty = asyncio.Event()
        self._lost_since: float | None = None

    def add(self, topic: StreamTopic) -> None:
        """Read this topic's stream from now on."""
        self._topics.add(topic)

    def remove(self, topic: StreamTopic) -> None:
        """Read this topic's stream no longer."""
        self._topics.discard(topic)
        self._dirty.pop(topic, None)

    def request_read(self, topic: StreamTopic) -> None:
        """Read this topic's stream soon."""
        self._dirty[topic] = None
        self._something_dirty.set()

    async def run(self) -> None:
        """Read the requested streams until cancelled."""
        while True:
            await self._something_dirty.wait()
            batch = self._take_dirty()
            try:
                await self._read(batch)
            except StoreUnavailableError:
                self._dirty.update(dict.fromkeys(topic for topic in batch if topic in self._topics))
                await self._handle_outage()
            else:
                self._lost_since = None
            if self._dirty:
                self._something_dirty.set()

    def _take_dirty(self) -> list[StreamTopic]:
        self._something_dirty.clear()
        batch = [topic for topic in self._dirty if topic.live][:_STREAMS_PER_READ]
        if len(batch) < _STREAMS_PER_READ:
            self._dirty.clear()
        for topic in batch:
            self._dirty.pop(topic, None)
        return batch

    async def _read(self, batch: Sequence[StreamTopic]) -> None:
        issued = {topic: topic.position for topic in batch}
        if not issued:
            return
        for limit, topics in self._by_limit(batch).items():
            found = await self._read_streams(topics, issued, limit)
            delivered = 0
            for topic in topics:
                entries = found.get(topic.stream)
                if not entries:
                    self._note_empty(topic)
                    continue
                self._deliver(topic, issued[topic], entries, limit)
                delivered += len(entries) + len(topic.live)
                if delivered >= _DELIVERED_AT_ONCE:  # requests wait for their turn of the event loop
                    delivered = 0
                    await asyncio.sleep(0)

    async def _read_streams(
        self, topics: Sequence[StreamTopic], issued: Mapping[StreamTopic, StreamId], limit: int
    ) -> Mapping[str, Sequence[StreamEntry]]:
        """Return the entries after each position; a stream that cannot be read is ended, the others go on."""
        positions = {topic.stream: str(issued[topic]) for topic in topics}
        try:
            return await self._reader.read_after(positions, limit=limit)
        except UnreadableRecordError:
            if len(topics) == 1:
                topics[0].end(StreamEnd.FAILED)
                return {}
        half = len(topics) // 2
        first = await self._read_streams(topics[:half], issued, limit)
        return {**first, **await self._read_streams(topics[half:], issued, limit)}

    def _by_limit(self, batch: Sequence[StreamTopic]) -> Mapping[int, Sequence[StreamTopic]]:
        """Return the topics by how many entries may be read of each: few, where they are large."""
        found: dict[int, list[StreamTopic]] = {}
        for topic in batch:
            is_large = topic.page_entries < _FEW_ENTRIES
            found.setdefault(min(_FEW_ENTRIES, self._max_entries) if is_large else self._max_entries, []).append(topic)
        return found

    def _deliver(self, topic: StreamTopic, issued_from: StreamId, entries: Sequence[StreamEntry], limit: int) -> None:
        if len(entries) >= limit:
            # The log may have been trimmed meanwhile, which only reading by pages can detect.
            topic.large_to = LAST_STREAM_ID  # the sizes of what follows are not known
            for subscriber in tuple(topic.live):
                subscriber.detach()
        elif not topic.deliver(issued_from, [frame_of(entry) for entry in entries]):
            self.request_read(topic)

    async def _handle_outage(self) -> None:
        now = asyncio.get_running_loop().time()
        self._lost_since = self._lost_since or now
        if now - self._lost_since > self._timings.give_up:
            for topic in self._topics:
                topic.end(StreamEnd.UNAVAILABLE)
        await asyncio.sleep(self._timings.retry)
