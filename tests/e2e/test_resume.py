"""Streams that break: a client that resumes from the last id misses nothing and gets nothing twice."""

from itertools import islice
from pathlib import Path

import httpx
import pytest

from baud import AsyncBaud
from tests.e2e.event_log import LogEvent, assert_read_whole, position, read_frames
from tests.e2e.service_process import ServiceProcess
from tests.e2e.stack import GATEWAY_URL, Stack
from tests.event_data import read_data
from tests.fakes.openai_script import Answer, Call
from tests.fakes.openai_server import OpenAIServer
from tests.streamed_text import is_text

SLOW_JOB = [
    Answer(calls=(Call(name="job_plan", arguments={"name": "count", "plan": "count"}),), delay=0.01),
    Answer(text="I count now.", calls=(Call(name="bash", arguments={"cmd": "seq 3"}),), piece=3, delay=0.04),
    Answer(text="I have counted to three, slowly.", piece=4, delay=0.04),
]


def collect_one_by_one(stack: Stack, path: str, *, by_query: bool = False) -> list[LogEvent]:
    """Read a run's stream with a connection of its own for every single event."""
    events: list[LogEvent] = []
    while not (events and events[-1].is_completion):
        last_id = events[-1].id if events else ""
        place = {"last_id": last_id} if by_query else {"after": last_id}
        with stack.frames(path, **place) as frames:
            events += [LogEvent.of(frame) for frame in islice((f for f in frames if f.id is not None), 1)]
        assert len(events) < 200
    return events


@pytest.mark.parametrize("path", ["/api/agent/{0}/stream", "/api/agent/{0}/runs/{1}/stream"])
def test_a_live_run_read_in_single_events_is_complete(stack: Stack, openai_server: OpenAIServer, path: str) -> None:
    openai_server.play(SLOW_JOB)
    thread_id = stack.initiate()
    run_id = stack.execute(thread_id, "Count")
    events = collect_one_by_one(stack, path.format(thread_id, run_id))
    assert_read_whole(events, stack.log(thread_id))
    assert len(events) > 15


@pytest.mark.parametrize("by_query", [False, True], ids=["header", "query"])
def test_an_ended_run_read_in_single_events_is_complete(
    stack: Stack, openai_server: OpenAIServer, by_query: bool
) -> None:
    openai_server.play([answer.model_copy(update={"delay": 0.0}) for answer in SLOW_JOB])
    run = stack.run("Count")
    path = f"/api/agent/{run.thread_id}/runs/{run.run_id}/stream"
    events = collect_one_by_one(stack, path, by_query=by_query)
    assert events == list(stack.log(run.thread_id))
    assert not [event for event in events if is_text(event)], "complete messages supersede it"


def test_every_place_to_resume_gives_exactly_the_rest(stack: Stack, openai_server: OpenAIServer) -> None:
    openai_server.play(SLOW_JOB)
    run = stack.run("Count")
    log = stack.log(run.thread_id)
    assert len(run.events) > len(log), "some places are those of text that is gone"
    for event in run.events[:-1]:
        with stack.frames(f"/api/agent/{run.thread_id}/stream", after=event.id, until="completion") as frames:
            rest = list(frames)
        assert [frame.event for frame in rest if frame.id is None] == [], "nothing is missed, so there is no gap"
        assert [LogEvent.of(frame) for frame in rest] == [each for each in log if position(each) > position(event)]


def test_the_header_wins_over_the_query(stack: Stack, openai_server: OpenAIServer) -> None:
    openai_server.play([Answer(text="One, two, three.")])
    run = stack.run("Count")
    log = stack.log(run.thread_id)
    first, last = log[0].id, log[-1].id
    path = f"/api/agent/{run.thread_id}/runs/{run.run_id}/stream"
    answer = stack.http.get(path, params={"last_id": last}, headers={"Last-Event-ID": first})
    assert [frame.id for frame in read_frames(answer.text.splitlines()) if frame.id is not None] == [
        event.id for event in log[1:]
    ]
    answer = stack.http.get(path, params={"last_id": first}, headers={"Last-Event-ID": last})
    assert answer.status_code == 204


def test_readers_of_one_live_run_all_see_the_same(stack: Stack, openai_server: OpenAIServer) -> None:
    openai_server.play(SLOW_JOB)
    thread_id = stack.initiate()
    run_id = stack.execute(thread_id, "Count")
    path = f"/api/agent/{thread_id}/runs/{run_id}/stream"
    with stack.frames(path) as early, stack.frames(path) as other:
        first = list(islice(early, 5))
        with stack.frames(path) as late:
            readers = [list(late), [*first, *early], list(other)]
    for frames in readers:
        assert_read_whole([LogEvent.of(frame) for frame in frames if frame.id is not None], stack.log(thread_id))


async def test_a_live_stream_through_the_sdk_equals_the_log(stack: Stack, openai_server: OpenAIServer) -> None:
    openai_server.play(SLOW_JOB)
    async with AsyncBaud(stack.url) as baud:
        thread_id = (await baud.initiate(metadata={"by": "sdk"})).thread_id
        run_id = (await baud.execute(thread_id, "Count")).run_id
        events = [event async for event in baud.run_stream(thread_id, run_id)]
        again = [event async for event in baud.stream(thread_id, until_completion=True)]
        record = await baud.run(thread_id, run_id)
        messages = [message async for message in baud.messages(thread_id)]
    log = stack.log(thread_id)
    assert_read_whole([LogEvent(str(each.id), read_data(each.data)) for each in events], log)
    assert again == [event for event in events if event.execute_type != "assistant_delta"]
    assert events[-1].is_completion
    assert record.completion_id == events[-1].id
    assert messages[-1].text() == "I have counted to three, slowly."


def test_a_stream_from_now_on_leaves_out_earlier_events(stack: Stack, openai_server: OpenAIServer) -> None:
    openai_server.play([Answer(text="First."), Answer(text="Second.")])
    first = stack.run("One")
    with stack.frames(f"/api/agent/{first.thread_id}/stream", after="$") as frames:
        assert next(frames).event == "waiting"
        second = stack.run("Two", thread_id=first.thread_id)
        seen = [LogEvent.of(frame) for frame in islice(frames, len(second.events))]
    assert seen == list(second.events)


def test_another_gateway_goes_on_where_one_stopped(stack: Stack, openai_server: OpenAIServer, tmp_path: Path) -> None:
    openai_server.play(SLOW_JOB)
    second = ServiceProcess("gateway-2", ("gateway", "--port", "0"), settings=stack.settings, folder=tmp_path)
    try:
        url = second.wait_for(GATEWAY_URL)
        thread_id = stack.initiate()
        run_id = stack.execute(thread_id, "Count")
        path = f"/api/agent/{thread_id}/runs/{run_id}/stream"
        with stack.frames(path) as frames:
            events = [LogEvent.of(frame) for frame in islice((f for f in frames if f.id is not None), 6)]
        with httpx.stream("GET", url + path, headers={"Last-Event-ID": events[-1].id}, trust_env=False) as response:
            events += [LogEvent.of(frame) for frame in read_frames(response.iter_lines()) if frame.id is not None]
    finally:
        second.stop()
    assert_read_whole(events, stack.log(thread_id))
