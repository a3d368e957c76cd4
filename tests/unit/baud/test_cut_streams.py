"""However a connection breaks, and wherever: the reader gets each event once, in order, with its complete text."""

import asyncio
from collections.abc import Callable

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from baud import AsyncBaud, Baud, Event, StreamCounts, StreamPolicy
from tests.fakes.faulty_stream_server import TEXT, Break, Failure, FaultyStreamServer

URL = "http://gateway.test"
POLICY = StreamPolicy(first_pause_seconds=0.0, longest_pause_seconds=0.0, longest_outage_seconds=None)
COMPLETE_BYTES = len(FaultyStreamServer(4, ()).payload(0))

Read = Callable[[FaultyStreamServer], tuple[list[Event], StreamCounts]]


def read_sync(stream: FaultyStreamServer) -> tuple[list[Event], StreamCounts]:
    with Baud(URL, stream_policy=POLICY, transport=httpx.MockTransport(stream)) as baud:
        return list(baud.run_stream("t1", "r1")), baud.stream_counts


def read_async(stream: FaultyStreamServer) -> tuple[list[Event], StreamCounts]:
    async def read() -> tuple[list[Event], StreamCounts]:
        async with AsyncBaud(URL, stream_policy=POLICY, transport=httpx.MockTransport(stream)) as baud:
            return [event async for event in baud.run_stream("t1", "r1")], baud.stream_counts

    return asyncio.run(read())


both = pytest.mark.parametrize("read", [read_sync, read_async], ids=["sync", "async"])


def assert_complete(stream: FaultyStreamServer, events: list[Event]) -> None:
    assert [event.id for event in events] == stream.ids
    assert all(event.data["text"] == TEXT for event in events)


@both
@pytest.mark.parametrize("failure", [Failure.RESET, Failure.SILENCE, Failure.CLOSED])
def test_a_stream_cut_at_any_byte_resumes(read: Read, failure: Failure) -> None:
    for position in range(COMPLETE_BYTES):
        stream = FaultyStreamServer(4, [Break(failure, position)])
        events, counts = read(stream)
        assert_complete(stream, events)
        assert counts.duplicates == 0
        assert len(stream.asked) <= 2


BREAKS = st.builds(
    Break,
    failure=st.sampled_from(Failure),
    after_bytes=st.integers(0, COMPLETE_BYTES),
    chunk_bytes=st.integers(1, 200),
    repeats=st.integers(0, 3),
)


@both
@settings(deadline=None)
@given(breaks=st.lists(BREAKS, max_size=12), length=st.integers(1, 8))
def test_any_sequence_of_failures_loses_no_event(read: Read, breaks: list[Break], length: int) -> None:
    stream = FaultyStreamServer(length, breaks)
    events, _ = read(stream)
    assert_complete(stream, events)


@both
def test_repeated_events_are_dropped_and_counted(read: Read) -> None:
    stream = FaultyStreamServer(
        4, [Break(Failure.RESET, COMPLETE_BYTES - 1), Break(Failure.CLOSED, COMPLETE_BYTES, repeats=2)]
    )
    events, counts = read(stream)
    assert_complete(stream, events)
    assert counts == StreamCounts(connections=2, duplicates=2)
