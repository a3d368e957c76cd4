"""The rules by which a channel lets followers in and hands out what was read."""

import asyncio

from gateway.service.stream.page_reader import SharedPages
from gateway.service.stream.subscriber import HubTimings, Subscriber
from gateway.service.stream.topic import START, StreamTopic
from gateway.service.stream.types import Frame
from shared.ids import StreamId
from tests.fakes.fake_event_log import FakeEventLog


def _topic(marked: list[StreamTopic]) -> StreamTopic:
    return StreamTopic("stream", "bell", page_bytes=4096, request_read=marked.append)


def _follower(topic: StreamTopic, cursor: int) -> Subscriber:
    return Subscriber(topic, SharedPages(FakeEventLog()), StreamId(cursor, 0), buffer_bytes=4096, timings=HubTimings())


def _frame(number: int, *, size: int = 5) -> Frame:
    return Frame(StreamId(number, 0), "event", b"x" * size, "run")


async def test_the_first_to_join_sets_the_position_and_has_the_stream_read() -> None:
    marked: list[StreamTopic] = []
    topic = _topic(marked)
    assert topic.join(_follower(topic, 5), seen_position=START)
    assert topic.position == StreamId(5, 0)
    assert marked == [topic]


async def test_who_is_behind_the_tail_must_read_another_page() -> None:
    topic = _topic([])
    topic.join(_follower(topic, 5), seen_position=START)
    late = _follower(topic, 3)
    assert not topic.join(late, seen_position=StreamId(4, 0))
    assert topic.join(late, seen_position=StreamId(5, 0))


async def test_what_was_read_for_those_who_left_is_not_handed_to_a_newcomer_behind_it() -> None:
    topic = _topic([])
    first = _follower(topic, 5)
    topic.join(first, seen_position=START)
    issued_from = topic.position
    first.detach()
    newcomer = _follower(topic, 3)
    topic.join(newcomer, seen_position=START)
    assert not topic.deliver(issued_from, [_frame(7)])
    assert topic.deliver(StreamId(3, 0), [_frame(4), _frame(7)])
    assert [frame.id.milliseconds for frame in (await newcomer.next()).frames] == [4, 7]


async def test_entries_that_a_follower_has_seen_already_are_not_repeated() -> None:
    topic = _topic([])
    topic.join(_follower(topic, 3), seen_position=START)
    ahead = _follower(topic, 5)
    topic.join(ahead, seen_position=START)
    topic.deliver(StreamId(3, 0), [_frame(4), _frame(5), _frame(6)])
    assert [frame.id.milliseconds for frame in (await ahead.next()).frames] == [6]


async def test_a_follower_that_does_not_read_holds_no_more_than_its_buffer() -> None:
    topic = _topic([])
    stalled, other = _follower(topic, 3), _follower(topic, 3)
    topic.join(stalled, seen_position=START)
    topic.join(other, seen_position=START)
    topic.deliver(topic.position, [_frame(4, size=3000)])
    await other.next()
    asks_again = asyncio.create_task(other.next())
    await asyncio.sleep(0)
    topic.deliver(topic.position, [_frame(5, size=3000)])
    assert topic.live == {other}
    assert stalled.held_bytes == 0
    assert [frame.id.milliseconds for frame in (await asks_again).frames] == [5]


async def test_what_a_client_is_still_taking_counts_as_held() -> None:
    topic = _topic([])
    subscriber = _follower(topic, 3)
    topic.join(subscriber, seen_position=START)
    topic.deliver(topic.position, [_frame(4, size=3000)])
    await subscriber.next()
    topic.deliver(topic.position, [_frame(5, size=3000)])
    assert topic.live == set()


def test_pages_are_as_long_as_the_size_of_entries_allows() -> None:
    topic = _topic([])
    topic.note_sizes([_frame(1, size=1000), _frame(2, size=1000)])
    assert topic.page_entries == 3
    topic.note_sizes([_frame(3, size=100_000)])
    assert topic.page_entries == 1
    topic.note_sizes([_frame(4, size=1)])
    assert topic.page_entries == 63
