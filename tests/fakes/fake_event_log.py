"""FakeEventLog: streams in memory, read as the event store reads them; reads can fail or be slow."""

import asyncio
from bisect import bisect_right
from collections.abc import Awaitable, Callable, Collection, Mapping

from shared.contract.event import StreamEntry
from shared.errors import StoreUnavailableError, UnreadableRecordError
from shared.ids import parse_stream_id
from shared.store.events import EventPage


async def _at_once() -> None:
    await asyncio.sleep(0)


class FakeEventLog:
    """Reads wait for `pause` before they read and again before they return; `is_down` makes them fail.

    `nodes` maps streams to nodes; `read_after` on a node of `hung_nodes` never returns. Keys of `unreadable` are not
    streams.
    """

    def __init__(self, pause: Callable[[], Awaitable[None]] = _at_once) -> None:
        self.is_down = False
        self.active_run_id: str | None = None
        self.reads = 0
        self.removed: set[str] = set()
        self.nodes: dict[str, str] = {}
        self.hung_nodes: set[str] = set()
        self.unreadable: set[str] = set()
        self._pause = pause
        self._streams: dict[str, list[StreamEntry]] = {}
        self._next = 0

    def append(
        self, stream: str, *, data: bytes = b"{}", run_id: str = "run", is_final: bool = False, kind: str = ""
    ) -> str:
        """Add an entry and return its id; ids have gaps, and more digits from 10 on."""
        self._next += 1
        entry_id = f"{self._next // 3}-{self._next * 7}"
        entry = StreamEntry(entry_id, "task_agent_execute", data, run_id, is_final, kind)
        self._streams.setdefault(stream, []).append(entry)
        return entry_id

    def trim(self, stream: str, keep: int) -> None:
        """Remove all but the newest entries."""
        self._streams[stream] = self._streams[stream][-keep:] if keep else []

    def delete(self, stream: str, entry_id: str) -> None:
        """Remove an entry from the middle."""
        self._streams[stream] = [entry for entry in self._streams[stream] if entry.id != entry_id]

    def ids(self, stream: str) -> list[str]:
        return [entry.id for entry in self._streams.get(stream, [])]

    async def page_with_first(self, stream: str, *, after: str, limit: int, most_bytes: int = 0) -> EventPage:
        await self._begin_read()
        entries = self._streams.get(stream, [])
        first_id = entries[0].id if entries else None
        page = EventPage(self._entries_after(stream, after)[:limit], first_id, first_id)
        await self._pause()
        return page

    async def read_after(self, positions: Mapping[str, str], *, limit: int) -> dict[str, list[StreamEntry]]:
        if self.hung_nodes & {self.node_of(stream) for stream in positions}:
            await asyncio.Event().wait()
        await self._begin_read()
        if self.unreadable.intersection(positions):
            raise UnreadableRecordError
        found = {stream: self._entries_after(stream, after)[:limit] for stream, after in positions.items()}
        await self._pause()
        return {stream: entries for stream, entries in found.items() if entries}

    def remove(self, stream: str) -> None:
        """Remove a stream, as a DELETE of its thread does."""
        self._streams.pop(stream, None)
        self.removed.add(stream)

    async def missing(self, streams: Collection[str]) -> set[str]:
        await self._begin_read()
        return self.removed.intersection(streams)

    def node_of(self, stream: str) -> str:
        return self.nodes.get(stream, "")

    async def active_run(self, thread_id: str) -> str | None:
        await self._begin_read()
        return self.active_run_id

    async def _begin_read(self) -> None:
        await self._pause()
        self.reads += 1
        if self.is_down:
            raise StoreUnavailableError

    def _entries_after(self, stream: str, after: str) -> list[StreamEntry]:
        entries = self._streams.get(stream, [])
        first = bisect_right(entries, parse_stream_id(after), key=lambda entry: parse_stream_id(entry.id))
        return entries[first:]
