"""For tests of the event hub: a hub over a fake log, and how a subscriber is read."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from gateway.service.stream.event_hub import EventHub
from gateway.service.stream.subscriber import Batch, HubTimings, Subscriber
from shared.ids import StreamId, parse_stream_id
from shared.store.redis.notifications import ListenerTimings
from tests.fakes.fake_event_log import FakeEventLog
from tests.fakes.fake_notifications import FakeNotifications

STREAM, CHANNEL = "thread:t:stream", "thread:t:bell"
LIMIT_SECONDS = 5.0
QUICK = HubTimings(sweep=0.02, retry=0.005, give_up=0.05, listener=ListenerTimings(retry=0.005, dead_after=1.0))
NO_SWEEP = HubTimings(sweep=3600.0, retry=0.005, listener=ListenerTimings(retry=0.005))


@asynccontextmanager
async def open_hub(
    log: FakeEventLog, notifications: FakeNotifications, *, timings: HubTimings = NO_SWEEP, buffer_bytes: int = 4096
) -> AsyncIterator[EventHub]:
    async with EventHub(log, notifications, buffer_bytes=buffer_bytes, timings=timings) as hub:
        yield hub


async def read(subscriber: Subscriber, count: int) -> list[StreamId]:
    got: list[StreamId] = []
    async with asyncio.timeout(LIMIT_SECONDS):
        while len(got) < count:
            got.extend(frame.id for frame in (await subscriber.next()).frames)
    return got


async def next_within(seconds: float, subscriber: Subscriber) -> Batch:
    """Return the next batch, empty when nothing came within this time."""
    timer = asyncio.get_running_loop().call_later(seconds, subscriber.nudge)
    try:
        return await subscriber.next()
    finally:
        timer.cancel()


def ids_of(log: FakeEventLog) -> list[StreamId]:
    return [parse_stream_id(entry_id) for entry_id in log.ids(STREAM)]


async def go_live(subscriber: Subscriber) -> None:
    while not (await subscriber.next()).is_caught_up:
        pass


async def until(notifications: FakeNotifications, condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(LIMIT_SECONDS):
        while not condition():
            notifications.changed.clear()
            await notifications.changed.wait()


async def settle() -> None:
    """Let everything run that waits for nothing but its turn."""
    for _ in range(50):
        await asyncio.sleep(0)
