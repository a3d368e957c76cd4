"""The listener ends when it is cancelled, whatever its connection does meanwhile."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from shared.errors import StoreUnavailableError
from shared.store.redis.notifications import ListenerTimings, NotificationListener
from tests.fakes.fake_notifications import FakeSubscription


class FailingAtTheEnd:
    """Opens subscriptions whose connection fails while it is closed."""

    def __init__(self) -> None:
        self.is_open = asyncio.Event()

    @asynccontextmanager
    async def open(self) -> AsyncIterator[FakeSubscription]:
        try:
            self.is_open.set()
            yield FakeSubscription(asyncio.Event())
        finally:
            raise StoreUnavailableError


async def test_a_connection_that_fails_while_it_is_closed_does_not_swallow_the_cancellation() -> None:
    notifications = FailingAtTheEnd()
    listener = NotificationListener(
        notifications, ListenerTimings(), wanted=(), notify=lambda _: None, fallback="polling"
    )
    running = asyncio.create_task(listener.run())
    async with asyncio.timeout(5):
        await notifications.is_open.wait()
        running.cancel()
        await asyncio.wait([running])
    assert running.cancelled()
