"""The rules by which a topic makes subscribers live and delivers what was read."""

import asyncio

from gateway.service.stream.page_reader import SharedPages
from gateway.service.stream.subscriber import HubTimings, Subscriber
from gateway.service.stream.topic import START, StreamTopic
from gateway.service.stream.types import Frame
from shared.ids import StreamId
from tests.fakes.fake_event_log import FakeEventLog


def _topic(requested: list[StreamTopic]) -> StreamTopic:
    return StreamTopic("stream", "channel", page_bytes=4096, request_read=requested.append)


def _subscriber(topic: StreamTopic, cursor: int) -> Subscriber:
    return Subscriber(topic, SharedPages(FakeEventLog()), StreamId(cursor, 0), buffer_bytes=4096, timings=HubTimings())


def _frame(number: int, *, size: int = 5) -> Frame:
    return Frame(StreamId(number, 0), "event", b"x" * size, "run")


async def test_the_first_live_subscriber_sets_the_position_and_requests_a_read() -> None:
    requested: list[StreamTopic] = []
    topic = _topic(requested)
    assert topic.go_live(_subscriber(topic, 5), seen_position=START)
    assert topic.position == StreamId(5, 0)
    assert requested == [topic]


async def test_a_subscriber_before_the_read_position_must_read_another_page() -> None:
    topic = _topic([])
    topic.go_live(_subscriber(topic, 5), seen_position=START)
    late = _subscriber(topic, 3)
    assert not topic.go_live(late, seen_position=StreamId(4, 0))
    assert topic.go_live(late, seen_position=StreamId(5, 0))


async def test_a_read_for_subscribers_that_left_is_not_delivered_to_an_earlier_one() -> None:
    topic = _topic([])
    first = _subscriber(topic, 5)
    topic.go_live(first, seen_position=START)
    issued_from = topic.position
    first.detach()
    new = _subscriber(topic, 3)
    topic.go_live(new, seen_position=START)
    assert not topic.deliver(issued_from, [_frame(7)])
    assert topic.deliver(StreamId(3, 0), [_frame(4), _frame(7)])
    assert [frame.id.milliseconds for frame in (await new.next()).frames] == [4, 7]


async def test_entries_that_a_subscriber_has_seen_are_not_repeated() -> None:
    topic = _topic([])
    topic.go_live(_subscriber(topic, 3), seen_position=START)
    ahead = _subscriber(topic, 5)
    topic.go_live(ahead, seen_position=START)
    topic.deliver(StreamId(3, 0), [_frame(4), _frame(5), _frame(6)])
    assert [frame.id.milliseconds for frame in (await ahead.next()).frames] == [6]


async def test_a_subscriber_that_does_not_read_holds_no_more_than_its_buffer() -> None:
    topic = _topic([])
    stalled, other = _subscriber(topic, 3), _subscriber(topic, 3)
    topic.go_live(stalled, seen_position=START)
    topic.go_live(other, seen_position=START)
    topic.deliver(topic.position, [_frame(4, size=3000)])
    await other.next()
    asks_again = asyncio.create_task(other.next())
    await asyncio.sleep(0)
    topic.deliver(topic.position, [_frame(5, size=3000)])
    assert topic.live == {other}
    assert stalled.held_bytes == 0
    assert [frame.id.milliseconds for frame in (await asks_again).frames] == [5]


async def test_what_is_being_sent_to_a_client_counts_as_held() -> None:
    topic = _topic([])
    subscriber = _subscriber(topic, 3)
    topic.go_live(subscriber, seen_position=START)
    topic.deliver(topic.position, [_frame(4, size=3000)])
    await subscriber.next()
    topic.deliver(topic.position, [_frame(5, size=3000)])
    assert topic.live == set()


def test_the_length_of_pages_follows_the_size_of_entries() -> None:
    topic = _topic([])
    topic.note_sizes([_frame(1, size=1000), _frame(2, size=1000)])
    assert topic.page_entries == 3
    topic.note_sizes([_frame(3, size=100_000)])
    assert topic.page_entries == 1
    topic.note_sizes([_frame(4, size=1)])
    assert topic.page_entries == 63
