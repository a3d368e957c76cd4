"""FakeBells: bells in memory; they ring when told to, and their line can break."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager

from shared.errors import StoreUnavailableError


class FakeLine:
    """One open line; a dead one neither rings nor answers, and does not say so."""

    def __init__(self, changed: asyncio.Event) -> None:
        self._changed = changed
        self.watched: set[str] = set()
        self.is_dead = False
        self.pings = 0
        self.pinged = asyncio.Event()
        self.queue: asyncio.Queue[str | StoreUnavailableError | None] = asyncio.Queue()

    async def watch(self, channels: Iterable[str]) -> None:
        for channel in channels:
            self.watched.add(channel)
            self.queue.put_nowait(channel)
        self._changed.set()

    async def forget(self, channels: Iterable[str]) -> None:
        self.watched -= set(channels)
        self._changed.set()

    async def ping(self) -> None:
        self.pings += 1
        self.pinged.set()
        if not self.is_dead:
            self.queue.put_nowait(None)

    async def received(self) -> Sequence[str]:
        item = await self.queue.get()
        if isinstance(item, StoreUnavailableError):
            raise item
        return [] if item is None else [item]


class FakeBells:
    """Opens one line at a time; `opened` counts them. `changed` is set when a line is opened, broken or watches
    something else."""

    def __init__(self) -> None:
        self.changed = asyncio.Event()
        self.line: FakeLine | None = None
        self.opened = 0

    @asynccontextmanager
    async def open(self) -> AsyncIterator[FakeLine]:
        self.line = FakeLine(self.changed)
        self.opened += 1
        self.changed.set()
        try:
            yield self.line
        finally:
            self.line = None
            self.changed.set()

    def ring(self, channel: str) -> None:
        """Ring, if somebody listens."""
        if self.line is not None and channel in self.line.watched and not self.line.is_dead:
            self.line.queue.put_nowait(channel)

    def cut(self) -> None:
        """Break the line."""
        if self.line is not None:
            self.line.queue.put_nowait(StoreUnavailableError())
