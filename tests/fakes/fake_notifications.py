"""FakeNotifications: notifications in memory, sent by the test over a subscription that can break."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager

from shared.errors import StoreUnavailableError


class FakeSubscription:
    """One open subscription; a dead one neither delivers nor answers a ping, and raises nothing."""

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


class FakeNotifications:
    """Opens one subscription at a time; `opened` counts them.

    `changed` is set when a subscription is opened, broken or watches other channels.
    """

    def __init__(self) -> None:
        self.changed = asyncio.Event()
        self.subscription: FakeSubscription | None = None
        self.opened = 0

    @asynccontextmanager
    async def open(self) -> AsyncIterator[FakeSubscription]:
        self.subscription = FakeSubscription(self.changed)
        self.opened += 1
        self.changed.set()
        try:
            yield self.subscription
        finally:
            self.subscription = None
            self.changed.set()

    def notify(self, channel: str) -> None:
        """Send a notification, if the channel is subscribed to."""
        if self.subscription is not None and channel in self.subscription.watched and not self.subscription.is_dead:
            self.subscription.queue.put_nowait(channel)

    def cut(self) -> None:
        """Break the subscription."""
        if self.subscription is not None:
            self.subscription.queue.put_nowait(StoreUnavailableError())
