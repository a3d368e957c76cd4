"""The hub while Redis, a node or a subscription fails, and when streams end: no stream affects another."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from gateway.service.stream.subscriber import Batch, HubTimings
from gateway.service.stream.topic import START, StreamEnd
from shared.store.redis.notifications import ListenerTimings
from tests.fakes.fake_event_log import FakeEventLog
from tests.fakes.fake_notifications import FakeNotifications
from tests.unit.gateway.hub_scene import (
    CHANNEL,
    LIMIT_SECONDS,
    QUICK,
    STREAM,
    go_live,
    ids_of,
    next_within,
    open_hub,
    read,
    until,
)


async def test_streams_are_read_again_after_the_subscription_was_lost() -> None:
    log, notifications = FakeEventLog(), FakeNotifications()
    async with open_hub(log, notifications) as hub:
        with hub.subscribe(STREAM, CHANNEL, START) as subscriber:
            await go_live(subscriber)
            await until(notifications, lambda: notifications.subscription is not None)
            notifications.cut()
            await until(notifications, lambda: notifications.subscription is None)
            log.append(STREAM)
            assert await read(subscriber, 1) == ids_of(log)


async def test_a_node_that_hangs_delays_no_stream_of_another() -> None:
    log, notifications = FakeEventLog(), FakeNotifications()
    log.nodes = {STREAM: "here", "thread:u:stream": "there"}
    async with open_hub(log, notifications) as hub:
        with (
            hub.subscribe(STREAM, CHANNEL, START) as subscriber,
            hub.subscribe("thread:u:stream", "thread:u:bell", START) as other,
        ):
            await go_live(subscriber)
            await go_live(other)
            log.hung_nodes = {"there"}
            log.append("thread:u:stream")
            notifications.notify("thread:u:bell")
            for _ in range(3):
                log.append(STREAM)
                notifications.notify(CHANNEL)
                await read(subscriber, 1)


async def test_a_dead_subscription_that_raises_no_error_is_replaced() -> None:
    log, notifications = FakeEventLog(), FakeNotifications()
    timings = HubTimings(sweep=3600.0, retry=0.005, listener=ListenerTimings(retry=0.005, dead_after=0.05))
    async with open_hub(log, notifications, timings=timings) as hub:
        with hub.subscribe(STREAM, CHANNEL, START) as subscriber:
            await go_live(subscriber)
            await until(notifications, lambda: notifications.subscription is not None)
            subscription = notifications.subscription
            assert subscription is not None
            subscription.is_dead = True
            await until(notifications, lambda: notifications.subscription is not subscription)
            log.append(STREAM)
            assert await read(subscriber, 1) == ids_of(log)


async def test_a_subscription_without_notifications_is_kept() -> None:
    notifications = FakeNotifications()
    timings = HubTimings(sweep=3600.0, listener=ListenerTimings(dead_after=0.3))
    async with open_hub(FakeEventLog(), notifications, timings=timings) as hub:
        with hub.subscribe(STREAM, CHANNEL, START) as subscriber:
            await go_live(subscriber)
            await until(notifications, lambda: notifications.subscription is not None)
            subscription = notifications.subscription
            await next_within(0.5, subscriber)
            assert notifications.subscription is subscription


async def test_streams_survive_a_short_outage_of_redis() -> None:
    log, notifications = FakeEventLog(), FakeNotifications()
    async with open_hub(log, notifications) as hub:
        with hub.subscribe(STREAM, CHANNEL, START) as live, hub.subscribe(STREAM, CHANNEL, START) as new:
            await go_live(live)
            log.is_down = True
            log.append(STREAM)
            notifications.notify(CHANNEL)
            assert not (await next_within(0.02, live)).frames
            assert not (await next_within(0.02, new)).frames
            log.is_down = False
            assert await read(live, 1) == await read(new, 1) == ids_of(log)


@pytest.mark.parametrize("is_live", [True, False], ids=["live", "catching up"])
async def test_streams_end_as_unavailable_when_redis_stays_down(is_live: bool) -> None:
    log = FakeEventLog()
    async with open_hub(log, FakeNotifications(), timings=QUICK) as hub:
        with hub.subscribe(STREAM, CHANNEL, START) as subscriber:
            if is_live:
                await go_live(subscriber)
            log.is_down = True
            assert (await subscriber.next()).end is StreamEnd.UNAVAILABLE


async def test_shutting_down_ends_open_and_later_streams() -> None:
    async with open_hub(FakeEventLog(), FakeNotifications()) as hub:
        with hub.subscribe(STREAM, CHANNEL, START) as subscriber:
            await go_live(subscriber)
            hub.shut_down()
            assert (await subscriber.next()).end is StreamEnd.SHUTDOWN
        with hub.subscribe(STREAM, CHANNEL, START) as late:
            assert (await late.next()).end is StreamEnd.SHUTDOWN


async def test_an_unexpected_error_ends_the_streams_and_the_hub_restarts() -> None:
    async def fail() -> None:
        if should_fail:
            raise RuntimeError("a fault")
        await asyncio.sleep(0)

    should_fail = False
    log, notifications = FakeEventLog(fail), FakeNotifications()
    async with open_hub(log, notifications) as hub:
        with hub.subscribe(STREAM, CHANNEL, START) as subscriber:
            await go_live(subscriber)
            should_fail = True
            notifications.notify(CHANNEL)
            assert (await subscriber.next()).end is StreamEnd.FAILED
        should_fail = False
        log.append(STREAM)
        with hub.subscribe(STREAM, CHANNEL, START) as subscriber:
            assert await read(subscriber, 1) == ids_of(log)


async def test_an_unreadable_stream_ends_and_does_not_affect_the_others() -> None:
    log, notifications = FakeEventLog(), FakeNotifications()
    async with open_hub(log, notifications) as hub, AsyncExitStack() as stack:
        others = [stack.enter_context(hub.subscribe(f"thread:{n}:stream", CHANNEL, START)) for n in range(5)]
        unreadable = stack.enter_context(hub.subscribe(STREAM, CHANNEL, START))
        for subscriber in (*others, unreadable):
            await go_live(subscriber)
        log.unreadable.add(STREAM)
        for number in range(5):
            log.append(f"thread:{number}:stream")
        notifications.notify(CHANNEL)
        async with asyncio.timeout(LIMIT_SECONDS):
            assert (await unreadable.next()).end is StreamEnd.FAILED
            for each in others:
                batch = await each.next()
                assert (len(batch.frames), batch.end) == (1, None)


async def test_a_stream_whose_slot_moved_is_no_longer_delayed_by_its_old_node() -> None:
    log, notifications = FakeEventLog(), FakeNotifications()
    other = "thread:u:stream"
    log.nodes = {STREAM: "old", other: "old"}
    async with open_hub(log, notifications, timings=QUICK) as hub:
        with (
            hub.subscribe(STREAM, CHANNEL, START) as subscriber,
            hub.subscribe(other, "thread:u:bell", START) as left,
        ):
            await go_live(subscriber)
            await go_live(left)
            log.hung_nodes = {"old"}
            log.nodes[STREAM] = "new"
            log.append(STREAM)
            assert await read(subscriber, 1) == ids_of(log)


async def test_a_removed_thread_ends_its_streams_after_what_was_read() -> None:
    log, notifications = FakeEventLog(), FakeNotifications()
    async with open_hub(log, notifications) as hub:
        with (
            hub.subscribe(STREAM, CHANNEL, START) as subscriber,
            hub.subscribe("thread:u:stream", "b", START) as other,
        ):
            await go_live(subscriber)
            await go_live(other)
            await until(notifications, lambda: notifications.subscription is not None)
            log.append(STREAM)
            notifications.notify(CHANNEL)
            written = ids_of(log)
            async with asyncio.timeout(LIMIT_SECONDS):
                while not subscriber.held_bytes:  # noqa: ASYNC110 # there is no event for it
                    await asyncio.sleep(0)
                log.remove(STREAM)
                notifications.notify(CHANNEL)
                while subscriber._end is None:  # noqa: ASYNC110 # there is no event for it
                    await asyncio.sleep(0)
                assert await read(subscriber, 1) == written
                assert (await subscriber.next()).end is StreamEnd.DELETED
            assert await next_within(0.01, other) == Batch()


async def test_an_expired_thread_is_detected_by_the_next_read_of_its_stream() -> None:
    log = FakeEventLog()
    async with open_hub(log, FakeNotifications(), timings=QUICK) as hub:
        with hub.subscribe(STREAM, CHANNEL, START) as subscriber:
            await go_live(subscriber)
            log.remove(STREAM)
            async with asyncio.timeout(LIMIT_SECONDS):
                assert (await subscriber.next()).end is StreamEnd.DELETED


async def test_a_legacy_stream_waits_until_it_begins_and_ends_once_it_is_removed() -> None:
    log, legacy = FakeEventLog(), "stream:flow:input"
    log.removed.add(legacy)
    async with open_hub(log, FakeNotifications(), timings=QUICK) as hub:
        with hub.subscribe(legacy, "thread:flow:bell", START) as subscriber:
            await go_live(subscriber)
            assert await next_within(0.6, subscriber) == Batch()
            log.append(legacy)
            await read(subscriber, 1)
            async with asyncio.timeout(LIMIT_SECONDS):
                assert (await subscriber.next()).end is StreamEnd.DELETED
