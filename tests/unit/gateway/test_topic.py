"""The rules by which a channel lets followers in and hands out what was read."""

import asyncio

from gateway.service.stream.page_reader import SharedPages
from gateway.service.stream.subscriber import Follower, Pace
from gateway.service.stream.topic import START, Channel
from gateway.service.stream.types import Frame
from shared.ids import StreamId
from tests.fakes.fake_event_log import FakeEventLog


def _channel(marked: list[Channel]) -> Channel:
    return Channel("stream", "bell", page_bytes=4096, mark=marked.append)


def _follower(channel: Channel, cursor: int) -> Follower:
    return Follower(channel, SharedPages(FakeEventLog()), StreamId(cursor, 0), buffer_bytes=4096, pace=Pace())


def _frame(number: int, *, size: int = 5) -> Frame:
    return Frame(StreamId(number, 0), "event", b"x" * size, "run")


async def test_the_first_to_join_sets_the_position_and_has_the_stream_read() -> None:
    marked: list[Channel] = []
    channel = _channel(marked)
    assert channel.join(_follower(channel, 5), seen_position=START)
    assert channel.position == StreamId(5, 0)
    assert marked == [channel]


async def test_who_is_behind_the_tail_must_read_another_page() -> None:
    channel = _channel([])
    channel.join(_follower(channel, 5), seen_position=START)
    late = _follower(channel, 3)
    assert not channel.join(late, seen_position=StreamId(4, 0))
    assert channel.join(late, seen_position=StreamId(5, 0))


async def test_what_was_read_for_those_who_left_is_not_handed_to_a_newcomer_behind_it() -> None:
    channel = _channel([])
    first = _follower(channel, 5)
    channel.join(first, seen_position=START)
    issued_from = channel.position
    first.detach()
    newcomer = _follower(channel, 3)
    channel.join(newcomer, seen_position=START)
    assert not channel.deliver(issued_from, [_frame(7)])
    assert channel.deliver(StreamId(3, 0), [_frame(4), _frame(7)])
    assert [frame.id.milliseconds for frame in (await newcomer.next()).frames] == [4, 7]


async def test_entries_that_a_follower_has_seen_already_are_not_repeated() -> None:
    channel = _channel([])
    channel.join(_follower(channel, 3), seen_position=START)
    ahead = _follower(channel, 5)
    channel.join(ahead, seen_position=START)
    channel.deliver(StreamId(3, 0), [_frame(4), _frame(5), _frame(6)])
    assert [frame.id.milliseconds for frame in (await ahead.next()).frames] == [6]


async def test_a_follower_that_does_not_read_holds_no_more_than_its_buffer() -> None:
    channel = _channel([])
    stalled, other = _follower(channel, 3), _follower(channel, 3)
    channel.join(stalled, seen_position=START)
    channel.join(other, seen_position=START)
    channel.deliver(channel.position, [_frame(4, size=3000)])
    await other.next()
    asks_again = asyncio.create_task(other.next())
    await asyncio.sleep(0)
    channel.deliver(channel.position, [_frame(5, size=3000)])
    assert channel.joined == {other}
    assert stalled.held_bytes == 0
    assert [frame.id.milliseconds for frame in (await asks_again).frames] == [5]


async def test_what_a_client_is_still_taking_counts_as_held() -> None:
    channel = _channel([])
    follower = _follower(channel, 3)
    channel.join(follower, seen_position=START)
    channel.deliver(channel.position, [_frame(4, size=3000)])
    await follower.next()
    channel.deliver(channel.position, [_frame(5, size=3000)])
    assert channel.joined == set()


def test_pages_are_as_long_as_the_size_of_entries_allows() -> None:
    channel = _channel([])
    channel.note_sizes([_frame(1, size=1000), _frame(2, size=1000)])
    assert channel.page_entries == 3
    channel.note_sizes([_frame(3, size=100_000)])
    assert channel.page_entries == 1
    channel.note_sizes([_frame(4, size=1)])
    assert channel.page_entries == 63
