"""The hub and its subscribers: every entry exactly once, however it is notified, read and buffered."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from gateway.service.stream.topic import START
from shared.ids import StreamId
from tests.fakes.fake_event_log import FakeEventLog
from tests.fakes.fake_notifications import FakeNotifications
from tests.unit.gateway.hub_scene import (
    CHANNEL,
    LIMIT_SECONDS,
    QUICK,
    STREAM,
    go_live,
    ids_of,
    open_hub,
    read,
    settle,
    until,
)


async def test_a_notification_delivers_a_new_entry() -> None:
    log, notifications = FakeEventLog(), FakeNotifications()
    async with open_hub(log, notifications) as hub:
        with hub.subscribe(STREAM, CHANNEL, START) as subscriber:
            await go_live(subscriber)
            for _ in range(3):
                log.append(STREAM)
                notifications.notify(CHANNEL)
                await read(subscriber, 1)
            assert subscriber.cursor == ids_of(log)[-1]


async def test_entries_of_one_stream_are_read_once_for_all_its_subscribers() -> None:
    log, notifications = FakeEventLog(), FakeNotifications()
    async with open_hub(log, notifications) as hub:
        subscribers = [hub.subscribe(STREAM, CHANNEL, START) for _ in range(50)]
        opened = [subscriber.__enter__() for subscriber in subscribers]
        for subscriber in opened:
            await go_live(subscriber)
        log.append(STREAM)
        reads = log.reads
        notifications.notify(CHANNEL)
        for subscriber in opened:
            await read(subscriber, 1)
        assert log.reads - reads <= 2
        for manager in subscribers:
            manager.__exit__(None, None, None)


async def test_an_entry_whose_notification_was_lost_is_found_by_the_sweep() -> None:
    log = FakeEventLog()
    async with open_hub(log, FakeNotifications(), timings=QUICK) as hub:
        with hub.subscribe(STREAM, CHANNEL, START) as subscriber:
            await go_live(subscriber)
            log.append(STREAM)
            assert await read(subscriber, 1) == ids_of(log)


async def test_a_stream_that_fell_back_until_entries_were_trimmed_reports_a_gap() -> None:
    log, notifications = FakeEventLog(), FakeNotifications()
    async with open_hub(log, notifications, buffer_bytes=10**6) as hub:
        with hub.subscribe(STREAM, CHANNEL, START) as subscriber:
            log.append(STREAM)
            await read(subscriber, 1)
            for _ in range(1200):
                log.append(STREAM)
            log.trim(STREAM, 550)
            notifications.notify(CHANNEL)
            batch = await subscriber.next()
            assert batch.gap is not None
            assert batch.gap.first_available == batch.frames[0].id == ids_of(log)[0]
            assert [frame.id for frame in batch.frames] + await read(subscriber, 450) == ids_of(log)


async def test_a_subscriber_whose_buffer_is_full_reads_on_from_the_log() -> None:
    log, notifications = FakeEventLog(), FakeNotifications()
    async with open_hub(log, notifications, buffer_bytes=200) as hub:
        with hub.subscribe(STREAM, CHANNEL, START) as slow, hub.subscribe(STREAM, CHANNEL, START) as quick:
            await go_live(slow)
            await go_live(quick)
            for _ in range(40):
                log.append(STREAM, data=b"x" * 60)
                notifications.notify(CHANNEL)
                await read(quick, 1)
            assert await read(slow, 40) == ids_of(log)


async def test_a_frame_larger_than_the_buffer_is_sent() -> None:
    log, notifications = FakeEventLog(), FakeNotifications()
    async with open_hub(log, notifications, buffer_bytes=100) as hub:
        with hub.subscribe(STREAM, CHANNEL, START) as subscriber:
            await go_live(subscriber)
            log.append(STREAM, data=b"x" * 5000)
            notifications.notify(CHANNEL)
            assert await read(subscriber, 1) == ids_of(log)


async def test_a_subscriber_to_one_run_gets_nothing_of_the_others() -> None:
    log, notifications = FakeEventLog(), FakeNotifications()
    for number in range(300):
        log.append(STREAM, run_id=f"run {number % 2}")
    async with open_hub(log, notifications) as hub:
        with hub.subscribe(STREAM, CHANNEL, START, run_id="run 1") as subscriber:
            got = await read(subscriber, 150)
            log.append(STREAM, run_id="run 0")
            log.append(STREAM, run_id="run 1")
            notifications.notify(CHANNEL)
            got += await read(subscriber, 1)
    assert got == [*ids_of(log)[1:300:2], ids_of(log)[-1]]


async def test_entries_trimmed_while_a_subscriber_lags_are_reported_as_a_gap() -> None:
    log, notifications = FakeEventLog(), FakeNotifications()
    for _ in range(300):
        log.append(STREAM)
    async with open_hub(log, notifications) as hub:
        with hub.subscribe(STREAM, CHANNEL, START) as subscriber:
            first = await subscriber.next()
            log.trim(STREAM, 20)
            second = await subscriber.next()
    assert first.gap is None
    assert second.gap is not None
    assert (second.gap.requested, second.gap.first_available) == (first.frames[-1].id, second.frames[0].id)


async def test_a_new_subscriber_to_an_emptied_log_goes_live() -> None:
    log, notifications = FakeEventLog(), FakeNotifications()
    log.append(STREAM)
    async with open_hub(log, notifications) as hub:
        with hub.subscribe(STREAM, CHANNEL, START) as old, hub.subscribe(STREAM, CHANNEL, START) as new:
            await go_live(old)
            log.trim(STREAM, 0)
            async with asyncio.timeout(LIMIT_SECONDS):
                await go_live(new)
            log.append(STREAM)
            notifications.notify(CHANNEL)
            assert await read(new, 1) == await read(old, 1)


async def test_nothing_is_watched_once_the_last_subscriber_has_left() -> None:
    notifications = FakeNotifications()
    async with open_hub(FakeEventLog(), notifications) as hub:
        with hub.subscribe(STREAM, CHANNEL, START) as subscriber:
            await go_live(subscriber)
            await until(
                notifications,
                lambda: notifications.subscription is not None and notifications.subscription.watched == {CHANNEL},
            )
        await until(
            notifications, lambda: notifications.subscription is not None and not notifications.subscription.watched
        )


async def test_a_client_with_a_future_id_does_not_affect_the_others() -> None:
    log, notifications = FakeEventLog(), FakeNotifications()
    async with open_hub(log, notifications) as hub:
        future = StreamId(10**12, 0)
        with hub.subscribe(STREAM, CHANNEL, future) as ahead, hub.subscribe(STREAM, CHANNEL, START) as other:
            await go_live(ahead)
            await go_live(other)
            log.append(STREAM)
            notifications.notify(CHANNEL)
            assert await read(other, 1) == ids_of(log)


async def test_subscribers_at_the_same_position_share_the_read_of_a_page() -> None:
    log = FakeEventLog()
    for _ in range(150):
        log.append(STREAM)
    async with open_hub(log, FakeNotifications()) as hub, AsyncExitStack() as stack:
        subscribers = [stack.enter_context(hub.subscribe(STREAM, CHANNEL, START)) for _ in range(50)]
        batches = await asyncio.gather(*(subscriber.next() for subscriber in subscribers))
        await settle()
        assert log.reads == 1
        assert all(batch.frames[0] is batches[0].frames[0] for batch in batches)
        await asyncio.gather(*(subscriber.next() for subscriber in subscribers))
        await settle()
        assert log.reads == 2, "a crowd reads nothing ahead"


async def test_the_next_page_is_read_while_a_page_is_sent() -> None:
    log = FakeEventLog()
    for _ in range(150):
        log.append(STREAM)
    async with open_hub(log, FakeNotifications()) as hub:
        with hub.subscribe(STREAM, CHANNEL, START) as subscriber:
            got = [frame.id for frame in (await subscriber.next()).frames]
            await settle()
            assert log.reads == 2
            got += [frame.id for frame in (await subscriber.next()).frames]
            assert got == ids_of(log)[: len(got)]


async def test_what_is_read_again_is_not_the_page_that_was_read_ahead_before() -> None:
    log = FakeEventLog()
    for _ in range(20):
        log.append(STREAM)
    async with open_hub(log, FakeNotifications()) as hub:
        with hub.subscribe(STREAM, CHANNEL, START) as subscriber:
            first = len((await subscriber.next()).frames)
            await settle()
            log.append(STREAM)
            subscriber.read_again()
            assert [frame.id for frame in (await subscriber.next()).frames] == ids_of(log)[first:]


async def test_a_page_read_ahead_is_not_used_for_what_is_written_after_it() -> None:
    log, notifications = FakeEventLog(), FakeNotifications()
    for _ in range(20):
        log.append(STREAM)
    async with open_hub(log, notifications) as hub:
        with hub.subscribe(STREAM, CHANNEL, START) as subscriber:
            got = [frame.id for frame in (await subscriber.next()).frames]
            await settle()
            assert log.reads == 2, "the page ahead, which is short"
            log.append(STREAM)
            notifications.notify(CHANNEL)
            got += await read(subscriber, 21 - len(got))
            assert got == ids_of(log)


@pytest.mark.parametrize("small", [0, 150], ids=["first page", "after small entries"])
async def test_a_page_of_large_entries_stays_within_what_a_client_may_hold(small: int) -> None:
    log, limit_bytes = FakeEventLog(), 10_000
    for number in range(small + 40):
        log.append(STREAM, data=b"x" * (10 if number < small else 3000))
    log.append(STREAM, data=b"x" * 2 * limit_bytes)
    log.append(STREAM)
    async with open_hub(log, FakeNotifications(), buffer_bytes=limit_bytes) as hub:
        with hub.subscribe(STREAM, CHANNEL, START) as subscriber:
            got: list[StreamId] = []
            while got != ids_of(log):
                batch = await subscriber.next()
                got += [frame.id for frame in batch.frames]
                assert len(batch.frames) == 1 or subscriber.held_bytes <= limit_bytes
