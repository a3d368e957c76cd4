"""Reads the tails of the streams of one place together, so that a slow or dead place holds up only its own."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol

from gateway.service.stream.page_reader import PageReader
from gateway.service.stream.removal_check import StreamRegistry
from gateway.service.stream.subscriber import Pace
from gateway.service.stream.topic import Channel, StreamEnd
from gateway.service.stream.types import frame_of
from shared.contract.event import StreamEntry
from shared.errors import StoreUnavailableError, UnreadableRecordError
from shared.ids import LAST_STREAM_ID, StreamId

_TAIL_ENTRIES: Final = 500  # of one stream in one read; one that has more is caught up by pages
_FEW_ENTRIES: Final = 8  # of a stream of which fewer would fill a page
_STREAMS_PER_READ: Final = 256


class TailReader(PageReader, StreamRegistry, Protocol):
    """Reads pages, and many tails at once; knows which streams there are."""

    async def tails(self, positions: Mapping[str, str], *, limit: int) -> dict[str, list[StreamEntry]]:
        """Return what stands behind each position without blocking."""

    def place(self, stream: str) -> str:
        """Return where a stream is; the tails of one place are read together."""


class TailLane:
    """Reads the marked channels of one place."""

    def __init__(
        self, reader: TailReader, pace: Pace, *, max_length: int, note_empty: Callable[[Channel], None]
    ) -> None:
        self._reader = reader
        self._note_empty = note_empty
        self._pace = pace
        # A log is trimmed to no less than `max_length`: a reading that brings fewer entries has missed none.
        self._tail_entries = min(max_length or _TAIL_ENTRIES, _TAIL_ENTRIES)
        self._channels: set[Channel] = set()
        self._dirty: dict[Channel, None] = {}
        self._something_dirty = asyncio.Event()
        self._lost_since: float | None = None

    def add(self, channel: Channel) -> None:
        """Be responsible for a channel."""
        self._channels.add(channel)

    def remove(self, channel: Channel) -> None:
        """Nobody follows the channel any more."""
        self._channels.discard(channel)
        self._dirty.pop(channel, None)

    def mark(self, channel: Channel) -> None:
        """Read this channel's stream soon."""
        self._dirty[channel] = None
        self._something_dirty.set()

    async def run(self) -> None:
        """Read what is marked until cancelled."""
        while True:
            await self._something_dirty.wait()
            batch = self._take_dirty()
            try:
                await self._read(batch)
            except StoreUnavailableError:
                self._dirty.update(dict.fromkeys(channel for channel in batch if channel in self._channels))
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
        for limit, channels in self._by_limit(batch).items():
            found = await self._tails(channels, issued, limit)
            for channel in channels:
                entries = found.get(channel.stream)
                if entries:
                    self._hand_out(channel, issued[channel], entries, limit)
                else:
                    self._note_empty(channel)

    async def _tails(
        self, channels: Sequence[Channel], issued: Mapping[Channel, StreamId], limit: int
    ) -> Mapping[str, Sequence[StreamEntry]]:
        """Return what stands behind each position; a stream that cannot be read is ended, the others go on."""
        positions = {channel.stream: str(issued[channel]) for channel in channels}
        try:
            return await self._reader.tails(positions, limit=limit)
        except UnreadableRecordError:
            if len(channels) == 1:
                channels[0].end(StreamEnd.FAILED)
                return {}
        half = len(channels) // 2
        first = await self._tails(channels[:half], issued, limit)
        return {**first, **await self._tails(channels[half:], issued, limit)}

    def _by_limit(self, batch: Sequence[Channel]) -> Mapping[int, Sequence[Channel]]:
        """Return the channels by how many entries may be read of each: few, where they are large."""
        found: dict[int, list[Channel]] = {}
        for channel in batch:
            is_large = channel.page_entries < _FEW_ENTRIES
            found.setdefault(min(_FEW_ENTRIES, self._tail_entries) if is_large else self._tail_entries, []).append(
                channel
            )
        return found

    def _hand_out(self, channel: Channel, issued_from: StreamId, entries: Sequence[StreamEntry], limit: int) -> None:
        if len(entries) >= limit:
            # So far behind that the log may have been trimmed meanwhile, which only reading by pages can tell.
            channel.large_to = LAST_STREAM_ID  # what else is there nobody has seen
            for follower in tuple(channel.joined):
                follower.detach()
        elif not channel.deliver(issued_from, [frame_of(entry) for entry in entries]):
            self.mark(channel)

    async def _bear_loss(self) -> None:
        now = asyncio.get_running_loop().time()
        self._lost_since = self._lost_since or now
        if now - self._lost_since > self._pace.give_up:
            for channel in self._channels:
                channel.end(StreamEnd.UNAVAILABLE)
        await asyncio.sleep(self._pace.retry)
