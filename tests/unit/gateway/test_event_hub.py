"""The hub and its subscribers: every entry exactly once, whatever notifications, reads and Redis do."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from gateway.service.stream.event_hub import EventHub
from gateway.service.stream.subscriber import Batch, HubTimings, Subscriber
from gateway.service.stream.topic import START, StreamEnd
from shared.ids import StreamId, parse_stream_id
from shared.store.notification_listener import ListenerTimings
from tests.fakes.fake_event_log import FakeEventLog
from tests.fakes.fake_notifications import FakeNotifications

_STREAM, _CHANNEL = "thread:t:stream", "thread:t:bell"
_LIMIT_SECONDS = 5.0
_QUICK = HubTimings(sweep=0.02, retry=0.005, give_up=0.05, listener=ListenerTimings(retry=0.005, dead_after=1.0))
_NO_SWEEP = HubTimings(sweep=3600.0, retry=0.005, listener=ListenerTimings(retry=0.005))


@asynccontextmanager
async def _hub(
    log: FakeEventLog, notifications: FakeNotifications, *, timings: HubTimings = _NO_SWEEP, buffer_bytes: int = 4096
) -> AsyncIterator[EventHub]:
    async with EventHub(log, notifications, buffer_bytes=buffer_bytes, timings=timings) as hub:
        yield hub


async def _read(subscriber: Subscriber, count: int) -> list[StreamId]:
    got: list[StreamId] = []
    async with asyncio.timeout(_LIMIT_SECONDS):
        while len(got) < count:
            got.extend(frame.id for frame in (await subscriber.next()).frames)
    return got


async def _within(seconds: float, subscriber: Subscriber) -> Batch:
    """Return the next batch, empty when nothing came within this time."""
    timer = asyncio.get_running_loop().call_later(seconds, subscriber.nudge)
    try:
        return await subscriber.next()
    finally:
        timer.cancel()


def _ids(log: FakeEventLog) -> list[StreamId]:
    return [parse_stream_id(entry_id) for entry_id in log.ids(_STREAM)]


async def _go_live(subscriber: Subscriber) -> None:
    while not (await subscriber.next()).is_caught_up:
        pass


async def _until(notifications: FakeNotifications, condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(_LIMIT_SECONDS):
        while not condition():
            notifications.changed.clear()
            await notifications.changed.wait()


async def test_a_notification_delivers_a_new_entry() -> None:
    log, notifications = FakeEventLog(), FakeNotifications()
    async with _hub(log, notifications) as hub:
        with hub.subscribe(_STREAM, _CHANNEL, START) as subscriber:
            await _go_live(subscriber)
            for _ in range(3):
                log.append(_STREAM)
                notifications.notify(_CHANNEL)
                await _read(subscriber, 1)
            assert subscriber.cursor == _ids(log)[-1]


async def test_entries_of_one_stream_are_read_once_for_all_its_subscribers() -> None:
    log, notifications = FakeEventLog(), FakeNotifications()
    async with _hub(log, notifications) as hub:
        subscribers = [hub.subscribe(_STREAM, _CHANNEL, START) for _ in range(50)]
        opened = [subscriber.__enter__() for subscriber in subscribers]
        for subscriber in opened:
            await _go_live(subscriber)
        log.append(_STREAM)
        reads = log.reads
        notifications.notify(_CHANNEL)
        for subscriber in opened:
            await _read(subscriber, 1)
        assert log.reads - reads <= 2
        for manager in subscribers:
            manager.__exit__(None, None, None)


async def test_an_entry_whose_notification_was_lost_is_found_by_the_sweep() -> None:
    log = FakeEventLog()
    async with _hub(log, FakeNotifications(), timings=_QUICK) as hub:
        with hub.subscribe(_STREAM, _CHANNEL, START) as subscriber:
            await _go_live(subscriber)
            log.append(_STREAM)
            assert await _read(subscriber, 1) == _ids(log)


async def test_streams_are_read_again_after_the_subscription_was_lost() -> None:
    log, notifications = FakeEventLog(), FakeNotifications()
    async with _hub(log, notifications) as hub:
        with hub.subscribe(_STREAM, _CHANNEL, START) as subscriber:
            await _go_live(subscriber)
            await _until(notifications, lambda: notifications.subscription is not None)
            notifications.cut()
            await _until(notifications, lambda: notifications.subscription is None)
            log.append(_STREAM)
            assert await _read(subscriber, 1) == _ids(log)


async def test_a_node_that_hangs_delays_no_stream_of_another() -> None:
    log, notifications = FakeEventLog(), FakeNotifications()
    log.nodes = {_STREAM: "here", "thread:u:stream": "there"}
    async with _hub(log, notifications) as hub:
        with (
            hub.subscribe(_STREAM, _CHANNEL, START) as subscriber,
            hub.subscribe("thread:u:stream", "thread:u:bell", START) as other,
        ):
            await _go_live(subscriber)
            await _go_live(other)
            log.hung_nodes = {"there"}
            log.append("thread:u:stream")
            notifications.notify("thread:u:bell")
            for _ in range(3):
                log.append(_STREAM)
                notifications.notify(_CHANNEL)
                await _read(subscriber, 1)


async def test_a_dead_subscription_that_raises_no_error_is_replaced() -> None:
    log, notifications = FakeEventLog(), FakeNotifications()
    timings = HubTimings(sweep=3600.0, retry=0.005, listener=ListenerTimings(retry=0.005, dead_after=0.05))
    async with _hub(log, notifications, timings=timings) as hub:
        with hub.subscribe(_STREAM, _CHANNEL, START) as subscriber:
            await _go_live(subscriber)
            await _until(notifications, lambda: notifications.subscription is not None)
            subscription = notifications.subscription
            assert subscription is not None
            subscription.is_dead = True
            await _until(notifications, lambda: notifications.subscription is not subscription)
            log.append(_STREAM)
            assert await _read(subscriber, 1) == _ids(log)


async def test_a_subscription_without_notifications_is_kept() -> None:
    notifications = FakeNotifications()
    async with _hub(
        FakeEventLog(), notifications, timings=HubTimings(sweep=3600.0, listener=ListenerTimings(dead_after=0.3))
    ) as hub:
        with hub.subscribe(_STREAM, _CHANNEL, START) as subscriber:
            await _go_live(subscriber)
            await _until(notifications, lambda: notifications.subscription is not None)
            subscription = notifications.subscription
            await _within(0.5, subscriber)
            assert notifications.subscription is subscription


async def test_a_stream_that_fell_back_until_entries_were_trimmed_reports_a_gap() -> None:
    log, notifications = FakeEventLog(), FakeNotifications()
    async with _hub(log, notifications, buffer_bytes=10**6) as hub:
        with hub.subscribe(_STREAM, _CHANNEL, START) as subscriber:
            log.append(_STREAM)
            await _read(subscriber, 1)
            for _ in range(1200):
                log.append(_STREAM)
            log.trim(_STREAM, 550)
            notifications.notify(_CHANNEL)
            batch = await subscriber.next()
            assert batch.gap is not None
            assert batch.gap.first_available == batch.frames[0].id == _ids(log)[0]
            assert [frame.id for frame in batch.frames] + await _read(subscriber, 450) == _ids(log)


async def test_a_subscriber_whose_buffer_is_full_reads_on_from_the_log() -> None:
    log, notifications = FakeEventLog(), FakeNotifications()
    async with _hub(log, notifications, buffer_bytes=200) as hub:
        with hub.subscribe(_STREAM, _CHANNEL, START) as slow, hub.subscribe(_STREAM, _CHANNEL, START) as quick:
            await _go_live(slow)
            await _go_live(quick)
            for _ in range(40):
                log.append(_STREAM, data=b"x" * 60)
                notifications.notify(_CHANNEL)
                await _read(quick, 1)
            assert await _read(slow, 40) == _ids(log)


async def test_a_frame_larger_than_the_buffer_is_sent() -> None:
    log, notifications = FakeEventLog(), FakeNotifications()
    async with _hub(log, notifications, buffer_bytes=100) as hub:
        with hub.subscribe(_STREAM, _CHANNEL, START) as subscriber:
            await _go_live(subscriber)
            log.append(_STREAM, data=b"x" * 5000)
            notifications.notify(_CHANNEL)
            assert await _read(subscriber, 1) == _ids(log)


async def test_a_subscriber_to_one_run_gets_nothing_of_the_others() -> None:
    log, notifications = FakeEventLog(), FakeNotifications()
    for number in range(300):
        log.append(_STREAM, run_id=f"run {number % 2}")
    async with _hub(log, notifications) as hub:
        with hub.subscribe(_STREAM, _CHANNEL, START, run_id="run 1") as subscriber:
            got = await _read(subscriber, 150)
            log.append(_STREAM, run_id="run 0")
            log.append(_STREAM, run_id="run 1")
            notifications.notify(_CHANNEL)
            got += await _read(subscriber, 1)
    assert got == [*_ids(log)[1:300:2], _ids(log)[-1]]


async def test_entries_trimmed_while_a_subscriber_lags_are_reported_as_a_gap() -> None:
    log, notifications = FakeEventLog(), FakeNotifications()
    for _ in range(300):
        log.append(_STREAM)
    async with _hub(log, notifications) as hub:
        with hub.subscribe(_STREAM, _CHANNEL, START) as subscriber:
            first = await subscriber.next()
            log.trim(_STREAM, 20)
            second = await subscriber.next()
    assert first.gap is None
    assert second.gap is not None
    assert (second.gap.requested, second.gap.first_available) == (first.frames[-1].id, second.frames[0].id)


async def test_a_new_subscriber_to_an_emptied_log_goes_live() -> None:
    log, notifications = FakeEventLog(), FakeNotifications()
    log.append(_STREAM)
    async with _hub(log, notifications) as hub:
        with hub.subscribe(_STREAM, _CHANNEL, START) as old, hub.subscribe(_STREAM, _CHANNEL, START) as new:
            await _go_live(old)
            log.trim(_STREAM, 0)
            async with asyncio.timeout(_LIMIT_SECONDS):
                await _go_live(new)
            log.append(_STREAM)
            notifications.notify(_CHANNEL)
            assert await _read(new, 1) == await _read(old, 1)


async def test_streams_survive_a_short_outage_of_redis() -> None:
    log, notifications = FakeEventLog(), FakeNotifications()
    async with _hub(log, notifications) as hub:
        with hub.subscribe(_STREAM, _CHANNEL, START) as live, hub.subscribe(_STREAM, _CHANNEL, START) as new:
            await _go_live(live)
            log.is_down = True
            log.append(_STREAM)
            notifications.notify(_CHANNEL)
            assert not (await _within(0.02, live)).frames
            assert not (await _within(0.02, new)).frames
            log.is_down = False
            assert await _read(live, 1) == await _read(new, 1) == _ids(log)


@pytest.mark.parametrize("is_live", [True, False], ids=["live", "catching up"])
async def test_streams_end_as_unavailable_when_redis_stays_down(is_live: bool) -> None:
    log = FakeEventLog()
    async with _hub(log, FakeNotifications(), timings=_QUICK) as hub:
        with hub.subscribe(_STREAM, _CHANNEL, START) as subscriber:
            if is_live:
                await _go_live(subscriber)
            log.is_down = True
            assert (await subscriber.next()).end is StreamEnd.UNAVAILABLE


async def test_shutting_down_ends_open_and_later_streams() -> None:
    async with _hub(FakeEventLog(), FakeNotifications()) as hub:
        with hub.subscribe(_STREAM, _CHANNEL, START) as subscriber:
            await _go_live(subscriber)
            hub.shut_down()
            assert (await subscriber.next()).end is StreamEnd.SHUTDOWN
        with hub.subscribe(_STREAM, _CHANNEL, START) as late:
            assert (await late.next()).end is StreamEnd.SHUTDOWN


async def test_an_unexpected_error_ends_the_streams_and_the_hub_restarts() -> None:
    async def fail() -> None:
        if should_fail:
            raise RuntimeError("a fault")
        await asyncio.sleep(0)

    should_fail = False
    log, notifications = FakeEventLog(fail), FakeNotifications()
    async with _hub(log, notifications) as hub:
        with hub.subscribe(_STREAM, _CHANNEL, START) as subscriber:
            await _go_live(subscriber)
            should_fail = True
            notifications.notify(_CHANNEL)
            assert (await subscriber.next()).end is StreamEnd.FAILED
        should_fail = False
        log.append(_STREAM)
        with hub.subscribe(_STREAM, _CHANNEL, START) as subscriber:
            assert await _read(subscriber, 1) == _ids(log)


async def test_an_unreadable_stream_ends_and_does_not_affect_the_others() -> None:
    log, notifications = FakeEventLog(), FakeNotifications()
    async with _hub(log, notifications) as hub, AsyncExitStack() as stack:
        others = [stack.enter_context(hub.subscribe(f"thread:{n}:stream", _CHANNEL, START)) for n in range(5)]
        unreadable = stack.enter_context(hub.subscribe(_STREAM, _CHANNEL, START))
        for subscriber in (*others, unreadable):
            await _go_live(subscriber)
        log.unreadable.add(_STREAM)
        for number in range(5):
            log.append(f"thread:{number}:stream")
        notifications.notify(_CHANNEL)
        async with asyncio.timeout(_LIMIT_SECONDS):
            assert (await unreadable.next()).end is StreamEnd.FAILED
            for each in others:
                batch = await each.next()
                assert (len(batch.frames), batch.end) == (1, None)


async def test_nothing_is_watched_once_the_last_subscriber_has_left() -> None:
    notifications = FakeNotifications()
    async with _hub(FakeEventLog(), notifications) as hub:
        with hub.subscribe(_STREAM, _CHANNEL, START) as subscriber:
            await _go_live(subscriber)
            await _until(
                notifications,
                lambda: notifications.subscription is not None and notifications.subscription.watched == {_CHANNEL},
            )
        await _until(
            notifications, lambda: notifications.subscription is not None and not notifications.subscription.watched
        )


async def test_a_client_with_a_future_id_does_not_affect_the_others() -> None:
    log, notifications = FakeEventLog(), FakeNotifications()
    async with _hub(log, notifications) as hub:
        future = StreamId(10**12, 0)
        with hub.subscribe(_STREAM, _CHANNEL, future) as ahead, hub.subscribe(_STREAM, _CHANNEL, START) as other:
            await _go_live(ahead)
            await _go_live(other)
            log.append(_STREAM)
            notifications.notify(_CHANNEL)
            assert await _read(other, 1) == _ids(log)


async def test_subscribers_at_the_same_position_share_the_read_of_a_page() -> None:
    log = FakeEventLog()
    for _ in range(150):
        log.append(_STREAM)
    async with _hub(log, FakeNotifications()) as hub, AsyncExitStack() as stack:
        subscribers = [stack.enter_context(hub.subscribe(_STREAM, _CHANNEL, START)) for _ in range(50)]
        batches = await asyncio.gather(*(subscriber.next() for subscriber in subscribers))
        assert log.reads == 1
        assert all(batch.frames[0] is batches[0].frames[0] for batch in batches)


@pytest.mark.parametrize("small", [0, 150], ids=["first page", "after small entries"])
async def test_a_page_of_large_entries_stays_within_what_a_client_may_hold(small: int) -> None:
    log, limit_bytes = FakeEventLog(), 10_000
    for number in range(small + 40):
        log.append(_STREAM, data=b"x" * (10 if number < small else 3000))
    log.append(_STREAM, data=b"x" * 2 * limit_bytes)
    log.append(_STREAM)
    async with _hub(log, FakeNotifications(), buffer_bytes=limit_bytes) as hub:
        with hub.subscribe(_STREAM, _CHANNEL, START) as subscriber:
            got: list[StreamId] = []
            while got != _ids(log):
                batch = await subscriber.next()
                got += [frame.id for frame in batch.frames]
                assert len(batch.frames) == 1 or subscriber.held_bytes <= limit_bytes


async def test_a_stream_whose_slot_moved_is_no_longer_delayed_by_its_old_node() -> None:
    log, notifications = FakeEventLog(), FakeNotifications()
    other = "thread:u:stream"
    log.nodes = {_STREAM: "old", other: "old"}
    async with _hub(log, notifications, timings=_QUICK) as hub:
        with (
            hub.subscribe(_STREAM, _CHANNEL, START) as subscriber,
            hub.subscribe(other, "thread:u:bell", START) as left,
        ):
            await _go_live(subscriber)
            await _go_live(left)
            log.hung_nodes = {"old"}
            log.nodes[_STREAM] = "new"
            log.append(_STREAM)
            assert await _read(subscriber, 1) == _ids(log)


async def test_a_removed_thread_ends_its_streams_after_what_was_read() -> None:
    log, notifications = FakeEventLog(), FakeNotifications()
    async with _hub(log, notifications) as hub:
        with (
            hub.subscribe(_STREAM, _CHANNEL, START) as subscriber,
            hub.subscribe("thread:u:stream", "b", START) as other,
        ):
            await _go_live(subscriber)
            await _go_live(other)
            await _until(notifications, lambda: notifications.subscription is not None)
            log.append(_STREAM)
            notifications.notify(_CHANNEL)
            written = _ids(log)
            async with asyncio.timeout(_LIMIT_SECONDS):
                while not subscriber.held_bytes:  # noqa: ASYNC110 # there is no event for it
                    await asyncio.sleep(0)
                log.remove(_STREAM)
                notifications.notify(_CHANNEL)
                while subscriber._end is None:  # noqa: ASYNC110 # there is no event for it
                    await asyncio.sleep(0)
                assert await _read(subscriber, 1) == written
                assert (await subscriber.next()).end is StreamEnd.DELETED
            assert await _within(0.01, other) == Batch()


async def test_an_expired_thread_is_detected_by_the_next_read_of_its_stream() -> None:
    log = FakeEventLog()
    async with _hub(log, FakeNotifications(), timings=_QUICK) as hub:
        with hub.subscribe(_STREAM, _CHANNEL, START) as subscriber:
            await _go_live(subscriber)
            log.remove(_STREAM)
            async with asyncio.timeout(_LIMIT_SECONDS):
                assert (await subscriber.next()).end is StreamEnd.DELETED


async def test_a_legacy_stream_waits_until_it_begins_and_ends_once_it_is_removed() -> None:
    log, legacy = FakeEventLog(), "stream:flow:input"
    log.removed.add(legacy)
    async with _hub(log, FakeNotifications(), timings=_QUICK) as hub:
        with hub.subscribe(legacy, "thread:flow:bell", START) as subscriber:
            await _go_live(subscriber)
            assert await _within(0.6, subscriber) == Batch()
            log.append(legacy)
            await _read(subscriber, 1)
            async with asyncio.timeout(_LIMIT_SECONDS):
                assert (await subscriber.next()).end is StreamEnd.DELETED
