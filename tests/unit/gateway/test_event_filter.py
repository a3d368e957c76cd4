"""Filtered streams: what passes, where the cursor stands, what counts as activity."""

import asyncio
from contextlib import aclosing

import orjson
import pytest

from gateway.service.stream.event_filter import EventFilter, parse_filter
from gateway.service.stream.event_hub import EventHub
from gateway.service.stream.page_reader import SharedPages
from gateway.service.stream.stream_session import EventStreamSession, StreamRequest
from gateway.service.stream.subscriber import HubTimings, Subscriber
from gateway.service.stream.topic import START, StreamTopic
from gateway.service.stream.types import Frame, frame_of
from shared.config import StreamConfig
from shared.contract.event import StreamEntry
from shared.errors import InvalidRequestError
from shared.ids import StreamId, parse_stream_id
from tests.fakes.fake_event_log import FakeEventLog
from tests.fakes.fake_notifications import FakeNotifications

_LIMIT_SECONDS = 5.0
_ONLY_BASH = EventFilter(frozenset({"tool_bash"}))


def _frame(kind: str, *, event: str = "task_agent_execute", data: bytes = b"{}") -> Frame:
    return frame_of(StreamEntry("1-1", event, data, "run", is_final=False, type=kind))


@pytest.mark.parametrize(
    ("entry", "kind"),
    [
        (StreamEntry("1-1", "task_agent_execute", b"not read", "", False, "tool_bash"), "tool_bash"),
        (StreamEntry("1-1", "task_agent_execute", b'{"execute_type": "tool_bash"}', "", False), "tool_bash"),
        (StreamEntry("1-1", "task_agent_execute", b'{"x": 1}', "", False), "task_agent_execute"),
        (StreamEntry("1-1", "task_agent_execute", b'{"execute_type": 1}', "", False), "task_agent_execute"),
        (StreamEntry("1-1", "task_agent_execute", b"[1]", "", False), "task_agent_execute"),
        (StreamEntry("1-1", "task_agent_execute", b"{", "", False), "task_agent_execute"),
        (StreamEntry("1-1", "custom", b'{"execute_type": "tool_bash"}', "", False), "custom"),
    ],
    ids=["stored", "in the data", "absent", "no text", "no object", "no JSON", "another event"],
)
def test_the_type_of_an_entry_is_stored_with_it_or_found_in_its_data(entry: StreamEntry, kind: str) -> None:
    assert frame_of(entry).type == kind


def test_types_are_execute_types_or_names_of_events() -> None:
    only = parse_filter(["tool_bash, custom", "mine"], has_deltas=True)
    assert only is not None
    assert only.passes(_frame("tool_bash"))
    assert only.passes(_frame("custom", event="custom"))
    assert only.passes(_frame("mine"))
    assert not only.passes(_frame("tool_grep"))
    every_task_event = parse_filter(["task_agent_execute"], has_deltas=False)
    assert every_task_event is not None
    assert every_task_event.passes(_frame("tool_grep"))
    assert not every_task_event.passes(_frame("assistant_delta"))


def test_without_parameters_there_is_no_filter() -> None:
    assert parse_filter(None, has_deltas=True) is None


@pytest.mark.parametrize("types", ["", " ", "a,,b", "a,", ","])
def test_an_empty_type_is_refused(types: str) -> None:
    with pytest.raises(InvalidRequestError, match="types"):
        parse_filter([types], has_deltas=True)


def test_an_entry_that_cannot_be_sent_is_reported_through_any_filter() -> None:
    assert _ONLY_BASH.passes(_frame("tool_grep", event=""))


async def _live_subscriber(log: FakeEventLog, topic: StreamTopic) -> Subscriber:
    subscriber = Subscriber(topic, SharedPages(log), START, buffer_bytes=4096, timings=HubTimings(), only=_ONLY_BASH)
    while not (await subscriber.next()).is_caught_up:
        pass
    return subscriber


def _append(log: FakeEventLog, topic: StreamTopic, *kinds: str) -> list[StreamId]:
    """Write entries and deliver them as a NodeStreamReader does."""
    ids = [parse_stream_id(log.append("stream", kind=kind)) for kind in kinds]
    frames = [
        Frame(entry_id, "task_agent_execute", b"{}", stored_type=kind)
        for entry_id, kind in zip(ids, kinds, strict=True)
    ]
    assert topic.deliver(topic.position, frames)
    return ids


@pytest.fixture
def topic() -> StreamTopic:
    return StreamTopic("stream", "channel", page_bytes=4096, request_read=lambda topic: None)


async def test_the_cursor_moves_over_filtered_out_entries(topic: StreamTopic) -> None:
    log = FakeEventLog()
    subscriber = await _live_subscriber(log, topic)
    *_, last = _append(log, topic, "tool_grep", "tool_grep", "tool_grep")
    assert subscriber.cursor == last
    # Otherwise what is trimmed now would be reported as a gap.
    log.trim("stream", keep=1)
    subscriber.detach()
    assert (await subscriber.next()).gap is None


async def test_buffered_entries_are_read_again_whatever_was_filtered_out_after_them(topic: StreamTopic) -> None:
    log = FakeEventLog()
    subscriber = await _live_subscriber(log, topic)
    first, _, second, _ = _append(log, topic, "tool_bash", "tool_grep", "tool_bash", "tool_grep")
    subscriber.detach()
    assert [frame.id for frame in (await subscriber.next()).frames] == [first, second]


async def _kinds(log: FakeEventLog, request: StreamRequest, config: StreamConfig | None = None) -> list[str]:
    async with EventHub(log, FakeNotifications(), buffer_bytes=4096, timings=HubTimings(sweep=0.02)) as hub:
        async with asyncio.timeout(_LIMIT_SECONDS):
            bursts = EventStreamSession(hub, log, request, config or StreamConfig()).items()
            items = [item async for burst in bursts for item in burst]
    return [item.type if isinstance(item, Frame) else item.event for item in items]


@pytest.mark.parametrize(
    "request_", [StreamRequest("t", "stream", "channel", START, run_id="run"),
                 StreamRequest("t", "stream", "channel", START, until_completion=True)],
    ids=["a run's", "until completion"],
)  # fmt: skip
async def test_a_stream_that_ends_with_a_run_gets_its_end_through_any_filter(request_: StreamRequest) -> None:
    log = FakeEventLog()
    log.append("stream", kind="tool_grep")
    log.append("stream", kind="tool_bash")
    log.append("stream", kind="flow_completion", is_final=True)
    assert await _kinds(log, request_.filtered(_ONLY_BASH)) == ["tool_bash", "flow_completion"]


async def test_filtered_out_entries_postpone_the_idle_timeout() -> None:
    log = FakeEventLog()
    config = StreamConfig(keep_alive_interval=0.1, idle_timeout=1.5)
    kinds: list[str] = []
    async with EventHub(log, FakeNotifications(), buffer_bytes=4096, timings=HubTimings(sweep=0.02)) as hub:
        session = EventStreamSession(
            hub, log, StreamRequest("t", "stream", "channel", START).filtered(_ONLY_BASH), config
        )
        async with asyncio.timeout(_LIMIT_SECONDS), aclosing(session.items()) as bursts:
            async for (item,) in bursts:
                kinds.append(item.event)
                log.append("stream", kind="tool_grep")
                if len(kinds) == 20:  # two seconds, longer than the limit
                    break
    assert kinds == ["waiting", *["keep_alive"] * 19]


def test_an_unfiltered_frame_is_never_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(data: bytes) -> None:
        raise AssertionError(f"parsed {data!r}")

    monkeypatch.setattr(orjson, "loads", refuse)
    frame = frame_of(StreamEntry("1-1", "task_agent_execute", b"{}", "run", False))
    assert frame.sse
    with pytest.raises(AssertionError, match="parsed"):
        assert frame.type
