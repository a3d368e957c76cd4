"""The hub and its followers: every entry exactly once, whatever bells, readers and Redis do."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from gateway.service.stream.event_hub import EventHub
from gateway.service.stream.subscriber import Batch, HubTimings, Subscriber
from gateway.service.stream.topic import START, StreamEnd
from shared.ids import StreamId, parse_stream_id
from tests.fakes.fake_bells import FakeBells
from tests.fakes.fake_event_log import FakeEventLog

_STREAM, _BELL = "thread:t:stream", "thread:t:bell"
_LIMIT_SECONDS = 5.0
_QUICK = HubTimings(sweep=0.02, retry=0.005, give_up=0.05, dead_after=1.0)
_NO_SWEEP = HubTimings(sweep=3600.0, retry=0.005)


@asynccontextmanager
async def _hub(
    log: FakeEventLog, channels: FakeBells, *, timings: HubTimings = _NO_SWEEP, buffer_bytes: int = 4096
) -> AsyncIterator[EventHub]:
    async with EventHub(log, channels, buffer_bytes=buffer_bytes, timings=timings) as hub:
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


async def _join(subscriber: Subscriber) -> None:
    while not (await subscriber.next()).is_caught_up:
        pass


async def _until(channels: FakeBells, condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(_LIMIT_SECONDS):
        while not condition():
            channels.changed.clear()
            await channels.changed.wait()


async def test_a_rung_bell_brings_a_new_entry() -> None:
    log, channels = FakeEventLog(), FakeBells()
    async with _hub(log, channels) as hub:
        with hub.follow(_STREAM, _BELL, START) as subscriber:
            await _join(subscriber)
            for _ in range(3):
                log.append(_STREAM)
                channels.ring(_BELL)
                await _read(subscriber, 1)
            assert subscriber.cursor == _ids(log)[-1]


async def test_entries_of_one_stream_are_read_once_for_all_its_followers() -> None:
    log, channels = FakeEventLog(), FakeBells()
    async with _hub(log, channels) as hub:
        subscribers = [hub.follow(_STREAM, _BELL, START) for _ in range(50)]
        opened = [subscriber.__enter__() for subscriber in subscribers]
        for subscriber in opened:
            await _join(subscriber)
        log.append(_STREAM)
        reads = log.reads
        channels.ring(_BELL)
        for subscriber in opened:
            await _read(subscriber, 1)
        assert log.reads - reads <= 2
        for manager in subscribers:
            manager.__exit__(None, None, None)


async def test_a_lost_bell_is_made_good_by_the_sweep() -> None:
    log = FakeEventLog()
    async with _hub(log, FakeBells(), timings=_QUICK) as hub:
        with hub.follow(_STREAM, _BELL, START) as subscriber:
            await _join(subscriber)
            log.append(_STREAM)
            assert await _read(subscriber, 1) == _ids(log)


async def test_streams_are_read_again_after_the_bells_were_lost() -> None:
    log, channels = FakeEventLog(), FakeBells()
    async with _hub(log, channels) as hub:
        with hub.follow(_STREAM, _BELL, START) as subscriber:
            await _join(subscriber)
            await _until(channels, lambda: channels.line is not None)
            channels.cut()
            await _until(channels, lambda: channels.line is None)
            log.append(_STREAM)
            assert await _read(subscriber, 1) == _ids(log)


async def test_a_place_that_hangs_holds_up_no_stream_of_another() -> None:
    log, channels = FakeEventLog(), FakeBells()
    log.places = {_STREAM: "here", "thread:u:stream": "there"}
    async with _hub(log, channels) as hub:
        with (
            hub.follow(_STREAM, _BELL, START) as subscriber,
            hub.follow("thread:u:stream", "thread:u:bell", START) as other,
        ):
            await _join(subscriber)
            await _join(other)
            log.hung = {"there"}
            log.append("thread:u:stream")
            channels.ring("thread:u:bell")
            for _ in range(3):
                log.append(_STREAM)
                channels.ring(_BELL)
                await _read(subscriber, 1)


async def test_a_line_that_died_without_a_word_is_replaced() -> None:
    log, channels = FakeEventLog(), FakeBells()
    timings = HubTimings(sweep=3600.0, retry=0.005, dead_after=0.05)
    async with _hub(log, channels, timings=timings) as hub:
        with hub.follow(_STREAM, _BELL, START) as subscriber:
            await _join(subscriber)
            await _until(channels, lambda: channels.line is not None)
            line = channels.line
            assert line is not None
            line.is_dead = True
            await _until(channels, lambda: channels.line is not line)
            log.append(_STREAM)
            assert await _read(subscriber, 1) == _ids(log)


async def test_a_line_on_which_nothing_rings_is_kept() -> None:
    channels = FakeBells()
    async with _hub(FakeEventLog(), channels, timings=HubTimings(sweep=3600.0, dead_after=0.3)) as hub:
        with hub.follow(_STREAM, _BELL, START) as subscriber:
            await _join(subscriber)
            await _until(channels, lambda: channels.line is not None)
            line = channels.line
            await _within(0.5, subscriber)
            assert channels.line is line


async def test_a_tail_so_far_behind_that_entries_are_gone_says_so() -> None:
    log, channels = FakeEventLog(), FakeBells()
    async with _hub(log, channels, buffer_bytes=10**6) as hub:
        with hub.follow(_STREAM, _BELL, START) as subscriber:
            log.append(_STREAM)
            await _read(subscriber, 1)
            for _ in range(1200):
                log.append(_STREAM)
            log.trim(_STREAM, 550)
            channels.ring(_BELL)
            batch = await subscriber.next()
            assert batch.gap is not None
            assert batch.gap.first_available == batch.frames[0].id == _ids(log)[0]
            assert [frame.id for frame in batch.frames] + await _read(subscriber, 450) == _ids(log)


async def test_a_follower_without_room_reads_on_from_the_log() -> None:
    log, channels = FakeEventLog(), FakeBells()
    async with _hub(log, channels, buffer_bytes=200) as hub:
        with hub.follow(_STREAM, _BELL, START) as slow, hub.follow(_STREAM, _BELL, START) as quick:
            await _join(slow)
            await _join(quick)
            for _ in range(40):
                log.append(_STREAM, data=b"x" * 60)
                channels.ring(_BELL)
                await _read(quick, 1)
            assert await _read(slow, 40) == _ids(log)


async def test_a_frame_larger_than_the_buffer_is_sent_all_the_same() -> None:
    log, channels = FakeEventLog(), FakeBells()
    async with _hub(log, channels, buffer_bytes=100) as hub:
        with hub.follow(_STREAM, _BELL, START) as subscriber:
            await _join(subscriber)
            log.append(_STREAM, data=b"x" * 5000)
            channels.ring(_BELL)
            assert await _read(subscriber, 1) == _ids(log)


async def test_a_follower_of_one_run_gets_nothing_of_the_others() -> None:
    log, channels = FakeEventLog(), FakeBells()
    for number in range(300):
        log.append(_STREAM, run_id=f"run {number % 2}")
    async with _hub(log, channels) as hub:
        with hub.follow(_STREAM, _BELL, START, run_id="run 1") as subscriber:
            got = await _read(subscriber, 150)
            log.append(_STREAM, run_id="run 0")
            log.append(_STREAM, run_id="run 1")
            channels.ring(_BELL)
            got += await _read(subscriber, 1)
    assert got == [*_ids(log)[1:300:2], _ids(log)[-1]]


async def test_entries_trimmed_while_a_follower_lags_are_announced() -> None:
    log, channels = FakeEventLog(), FakeBells()
    for _ in range(300):
        log.append(_STREAM)
    async with _hub(log, channels) as hub:
        with hub.follow(_STREAM, _BELL, START) as subscriber:
            first = await subscriber.next()
            log.trim(_STREAM, 20)
            second = await subscriber.next()
    assert first.gap is None
    assert second.gap is not None
    assert (second.gap.requested, second.gap.first_available) == (first.frames[-1].id, second.frames[0].id)


async def test_a_newcomer_joins_a_thread_whose_log_is_gone() -> None:
    log, channels = FakeEventLog(), FakeBells()
    log.append(_STREAM)
    async with _hub(log, channels) as hub:
        with hub.follow(_STREAM, _BELL, START) as old, hub.follow(_STREAM, _BELL, START) as new:
            await _join(old)
            log.trim(_STREAM, 0)
            async with asyncio.timeout(_LIMIT_SECONDS):
                await _join(new)
            log.append(_STREAM)
            channels.ring(_BELL)
            assert await _read(new, 1) == await _read(old, 1)


async def test_streams_live_through_a_short_loss_of_redis() -> None:
    log, channels = FakeEventLog(), FakeBells()
    async with _hub(log, channels) as hub:
        with hub.follow(_STREAM, _BELL, START) as live, hub.follow(_STREAM, _BELL, START) as newcomer:
            await _join(live)
            log.is_down = True
            log.append(_STREAM)
            channels.ring(_BELL)
            assert not (await _within(0.02, live)).frames
            assert not (await _within(0.02, newcomer)).frames
            log.is_down = False
            assert await _read(live, 1) == await _read(newcomer, 1) == _ids(log)


@pytest.mark.parametrize("has_joined", [True, False], ids=["joined", "catching up"])
async def test_streams_end_as_unavailable_when_redis_stays_away(has_joined: bool) -> None:
    log = FakeEventLog()
    async with _hub(log, FakeBells(), timings=_QUICK) as hub:
        with hub.follow(_STREAM, _BELL, START) as subscriber:
            if has_joined:
                await _join(subscriber)
            log.is_down = True
            assert (await subscriber.next()).end is StreamEnd.UNAVAILABLE


async def test_shutting_down_ends_open_streams_and_later_ones() -> None:
    async with _hub(FakeEventLog(), FakeBells()) as hub:
        with hub.follow(_STREAM, _BELL, START) as subscriber:
            await _join(subscriber)
            hub.shut_down()
            assert (await subscriber.next()).end is StreamEnd.SHUTDOWN
        with hub.follow(_STREAM, _BELL, START) as late:
            assert (await late.next()).end is StreamEnd.SHUTDOWN


async def test_a_fault_ends_the_streams_and_the_hub_goes_on() -> None:
    async def fail() -> None:
        if should_fail:
            raise RuntimeError("a fault")
        await asyncio.sleep(0)

    should_fail = False
    log, channels = FakeEventLog(fail), FakeBells()
    async with _hub(log, channels) as hub:
        with hub.follow(_STREAM, _BELL, START) as subscriber:
            await _join(subscriber)
            should_fail = True
            channels.ring(_BELL)
            assert (await subscriber.next()).end is StreamEnd.FAILED
        should_fail = False
        log.append(_STREAM)
        with hub.follow(_STREAM, _BELL, START) as subscriber:
            assert await _read(subscriber, 1) == _ids(log)


async def test_a_stream_that_cannot_be_read_ends_and_costs_the_others_nothing() -> None:
    log, channels = FakeEventLog(), FakeBells()
    async with _hub(log, channels) as hub, AsyncExitStack() as stack:
        others = [stack.enter_context(hub.follow(f"thread:{n}:stream", _BELL, START)) for n in range(5)]
        spoiled = stack.enter_context(hub.follow(_STREAM, _BELL, START))
        for subscriber in (*others, spoiled):
            await _join(subscriber)
        log.spoiled.add(_STREAM)
        for number in range(5):
            log.append(f"thread:{number}:stream")
        channels.ring(_BELL)
        async with asyncio.timeout(_LIMIT_SECONDS):
            assert (await spoiled.next()).end is StreamEnd.FAILED
            for each in others:
                batch = await each.next()
                assert (len(batch.frames), batch.end) == (1, None)


async def test_nothing_is_watched_once_the_last_follower_has_left() -> None:
    channels = FakeBells()
    async with _hub(FakeEventLog(), channels) as hub:
        with hub.follow(_STREAM, _BELL, START) as subscriber:
            await _join(subscriber)
            await _until(channels, lambda: channels.line is not None and channels.line.watched == {_BELL})
        await _until(channels, lambda: channels.line is not None and not channels.line.watched)


async def test_a_client_that_names_an_id_of_the_future_costs_the_others_nothing() -> None:
    log, channels = FakeEventLog(), FakeBells()
    async with _hub(log, channels) as hub:
        future = StreamId(10**12, 0)
        with hub.follow(_STREAM, _BELL, future) as ahead, hub.follow(_STREAM, _BELL, START) as other:
            await _join(ahead)
            await _join(other)
            log.append(_STREAM)
            channels.ring(_BELL)
            assert await _read(other, 1) == _ids(log)


async def test_followers_at_the_same_place_share_the_reading_of_a_page() -> None:
    log = FakeEventLog()
    for _ in range(150):
        log.append(_STREAM)
    async with _hub(log, FakeBells()) as hub, AsyncExitStack() as stack:
        subscribers = [stack.enter_context(hub.follow(_STREAM, _BELL, START)) for _ in range(50)]
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
    async with _hub(log, FakeBells(), buffer_bytes=limit_bytes) as hub:
        with hub.follow(_STREAM, _BELL, START) as subscriber:
            got: list[StreamId] = []
            while got != _ids(log):
                batch = await subscriber.next()
                got += [frame.id for frame in batch.frames]
                assert len(batch.frames) == 1 or subscriber.held_bytes <= limit_bytes


async def test_a_stream_whose_slot_moved_is_no_longer_held_up_by_its_old_place() -> None:
    log, channels = FakeEventLog(), FakeBells()
    other = "thread:u:stream"
    log.places = {_STREAM: "old", other: "old"}
    async with _hub(log, channels, timings=_QUICK) as hub:
        with hub.follow(_STREAM, _BELL, START) as subscriber, hub.follow(other, "thread:u:bell", START) as left:
            await _join(subscriber)
            await _join(left)
            log.hung = {"old"}
            log.places[_STREAM] = "new"
            log.append(_STREAM)
            assert await _read(subscriber, 1) == _ids(log)


async def test_a_removed_thread_ends_its_streams_behind_what_was_read() -> None:
    log, channels = FakeEventLog(), FakeBells()
    async with _hub(log, channels) as hub:
        with hub.follow(_STREAM, _BELL, START) as subscriber, hub.follow("thread:u:stream", "b", START) as other:
            await _join(subscriber)
            await _join(other)
            await _until(channels, lambda: channels.line is not None)
            log.append(_STREAM)
            channels.ring(_BELL)
            written = _ids(log)
            async with asyncio.timeout(_LIMIT_SECONDS):
                while not subscriber.held_bytes:  # its client takes its time  # noqa: ASYNC110 # nobody tells
                    await asyncio.sleep(0)
                log.remove(_STREAM)
                channels.ring(_BELL)
                while subscriber._end is None:  # noqa: ASYNC110 # nobody tells
                    await asyncio.sleep(0)
                assert await _read(subscriber, 1) == written
                assert (await subscriber.next()).end is StreamEnd.DELETED
            assert await _within(0.01, other) == Batch()


async def test_a_thread_that_expired_without_a_word_is_found_by_the_next_look_at_its_stream() -> None:
    log = FakeEventLog()
    async with _hub(log, FakeBells(), timings=_QUICK) as hub:
        with hub.follow(_STREAM, _BELL, START) as subscriber:
            await _join(subscriber)
            log.remove(_STREAM)
            async with asyncio.timeout(_LIMIT_SECONDS):
                assert (await subscriber.next()).end is StreamEnd.DELETED


async def test_a_legacy_stream_that_has_not_begun_is_waited_for_and_ends_once_it_is_gone() -> None:
    log, legacy = FakeEventLog(), "stream:flow:input"
    log.removed.add(legacy)
    async with _hub(log, FakeBells(), timings=_QUICK) as hub:
        with hub.follow(legacy, "thread:flow:bell", START) as subscriber:
            await _join(subscriber)
            assert await _within(0.6, subscriber) == Batch()
            log.append(legacy)
            await _read(subscriber, 1)
            async with asyncio.timeout(_LIMIT_SECONDS):
                assert (await subscriber.next()).end is StreamEnd.DELETED
