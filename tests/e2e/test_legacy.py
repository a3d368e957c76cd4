"""The legacy way in: producers that publish straight to the broker, readers of the legacy stream."""

import json
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from celery import Celery

from shared.contract.run import RunStatus
from shared.keys import DEAD_LETTERS, ThreadKeys
from tests.e2e.asked import read_requests
from tests.e2e.event_log import EndedRun, LogEvent, assert_read_whole
from tests.e2e.service_process import wait_until
from tests.e2e.stack import Stack
from tests.fakes.openai_script import Answer
from tests.fakes.openai_server import OpenAIServer

pytestmark = pytest.mark.brokers

TASK = "main.process_flow_data"
PIXEL = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk"
    "+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


class LegacyProducer:
    """A program of somebody else's: all that it knows is the broker and the name of the task."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._celery = Celery(broker=stack.broker.url, set_as_current=False)
        self.flow, self.flow_input = str(uuid4()), str(uuid4())

    def send(self, content: Any, **changes: Any) -> None:
        """Publish one message with this content as its task."""
        message = {
            "flow_uuid": self.flow,
            "flow_input_uuid": self.flow_input,
            "user_uuid": "user-1",
            "context_data": [{"type": "text", "content": content}],
            **changes,
        }
        self.send_text(json.dumps(message))

    def send_text(self, text: Any) -> None:
        """Publish any argument."""
        self._celery.send_task(TASK, args=[text])

    def read(self) -> EndedRun:
        """Return the run as its legacy stream shows it, from opening to the end."""
        query = {"flowUuid": self.flow, "flowInputUuid": self.flow_input}
        events: list[LogEvent] = []
        with self._stack.frames("/agent/event-stream", **query) as frames:
            for frame in frames:
                if frame.id is None:
                    continue
                events.append(LogEvent.of(frame))
                if events[-1].is_completion:
                    break
        return EndedRun(self.flow, self.flow_input, events, self._stack.record(self.flow, self.flow_input))

    def close(self) -> None:
        """Close the connection to the broker."""
        self._celery.close()


@pytest.fixture
def producer(stack: Stack) -> Iterator[LegacyProducer]:
    legacy = LegacyProducer(stack)
    yield legacy
    legacy.close()


def test_a_stream_opened_before_the_message_shows_the_run(
    stack: Stack, openai_server: OpenAIServer, producer: LegacyProducer
) -> None:
    openai_server.play([Answer(text="Hello, legacy.")])
    query = {"flowUuid": producer.flow, "flowInputUuid": producer.flow_input}
    with stack.frames("/agent/event-stream", **query) as frames:
        assert next(frames).event == "waiting"
        producer.send("Say hello")
        seen = [LogEvent.of(next(frames))]
        while not seen[-1].is_completion:
            seen.append(LogEvent.of(next(frames)))
    log = list(stack.log(producer.flow))
    assert log == list(stack.log(f"stream:{producer.flow}:{producer.flow_input}"))
    assert_read_whole(seen, log)
    record = stack.record(producer.flow, producer.flow_input)
    assert record.status is RunStatus.COMPLETED
    assert record.task == "Say hello"
    assert record.user_uuid == "user-1"
    thread = stack.http.get(f"/api/agent/{producer.flow}").json()
    assert (thread["run_count"], thread["last_run_id"]) == (1, producer.flow_input)


def test_a_stream_opened_after_the_end_shows_the_same(
    stack: Stack, openai_server: OpenAIServer, producer: LegacyProducer
) -> None:
    openai_server.play([Answer(text="Hello, legacy.")])
    producer.send("Say hello")
    live, again = producer.read(), producer.read()
    assert_read_whole(live.events, again.events)
    assert not again.of_kind("assistant_delta")
    place = again.events[0].id
    query = {"flowUuid": producer.flow, "flowInputUuid": producer.flow_input, "last_id": place}
    with stack.frames("/agent/event-stream", **query) as frames:
        assert LogEvent.of(next(frames)) == again.events[1]


def test_parts_of_a_task_reach_the_model_as_parts(openai_server: OpenAIServer, producer: LegacyProducer) -> None:
    openai_server.play([Answer(text="A pixel.")])
    parts = [{"type": "text", "text": "What is this?"}, {"type": "image_url", "image_url": {"url": PIXEL}}]
    producer.send(parts)
    assert producer.read().stop_reason == "completed"
    (asked,) = read_requests(openai_server.requests)
    assert asked.messages[1].content == parts


def test_a_flow_goes_on_with_its_conversation(
    stack: Stack, openai_server: OpenAIServer, producer: LegacyProducer
) -> None:
    openai_server.play([Answer(text="First answer."), Answer(text="Second answer.")])
    producer.send("First")
    first = producer.read()
    producer.flow_input = str(uuid4())
    producer.send("Second")
    second = producer.read()
    assert read_requests(openai_server.requests)[-1].roles == ["system", "user", "assistant", "user"]
    assert_read_whole([*first.events, *second.events], stack.log(producer.flow))
    assert {event.data.run_id for event in second.events} == {second.run_id}


@pytest.mark.parametrize(
    "context",
    [
        pytest.param([{"content": "  \n"}], id="blank"),
        pytest.param([{"content": []}], id="no parts"),
        pytest.param([{"content": [{"type": "text", "text": " "}]}], id="blank part"),
        pytest.param([{"content": {"text": "x"}}], id="an object"),
        pytest.param([{"content": None, "type": None}], id="null"),
        pytest.param([], id="no item"),
        pytest.param("Say hello", id="no list"),
        pytest.param(None, id="nothing"),
    ],
)
def test_a_message_without_a_task_ends_at_once_with_an_error(
    openai_server: OpenAIServer, producer: LegacyProducer, context: Any
) -> None:
    producer.send("", context_data=context)
    run = producer.read()
    assert len(run.events) == 1
    assert run.completion.data.error_flag is True
    assert run.record.status is RunStatus.FAILED
    assert "task" in run.message
    assert openai_server.requests == []


def test_context_after_the_task_reaches_the_model(openai_server: OpenAIServer, producer: LegacyProducer) -> None:
    openai_server.play([Answer(text="Read.")])
    report = {"type": "report", "content": {"total": [4711]}, "title": "Q3"}
    producer.send("Read this", user_uuid=17, context_data=[{"content": "Read this"}, report, {"type": "note"}])
    run = producer.read()
    assert run.stop_reason == "completed"
    assert run.record.user_uuid == "17"
    text = read_requests(openai_server.requests)[0].messages[1].text
    assert all(words in text for words in ("Read this", "4711", "Q3"))


def test_a_flow_can_run_on_a_thread_of_another_name(
    stack: Stack, openai_server: OpenAIServer, producer: LegacyProducer
) -> None:
    openai_server.play([Answer(text="On another thread.", piece=3, delay=0.02)])
    thread_id, run_id = stack.initiate(), str(uuid4())
    query = {"flowUuid": producer.flow, "flowInputUuid": producer.flow_input}
    with stack.frames("/agent/event-stream", **query) as frames:
        assert next(frames).event == "waiting"
        producer.send("Go there", thread_id=thread_id, run_id=run_id)
        seen = [LogEvent.of(next(frames))]
        while not seen[-1].is_completion:
            seen.append(LogEvent.of(next(frames)))
    assert_read_whole(seen, stack.log(thread_id))
    assert list(stack.follow(thread_id, run_id).events) == list(stack.log(thread_id))
    assert {(event.data.thread_id, event.data.run_id) for event in seen} == {(thread_id, run_id)}


def test_a_deleted_flow_leaves_nothing_but_the_note_that_it_was_deleted(
    stack: Stack, openai_server: OpenAIServer, producer: LegacyProducer
) -> None:
    openai_server.play([Answer(text="Hello, legacy.")])
    producer.send("Say hello")
    assert producer.read().stop_reason == "completed"
    assert stack.http.delete(f"/api/agent/{producer.flow}").status_code == 204
    assert list(stack.redis.scan_iter(f"*{producer.flow}*")) == [ThreadKeys(producer.flow).tombstone]


def test_messages_that_cannot_be_read_are_put_aside(
    stack: Stack, openai_server: OpenAIServer, producer: LegacyProducer
) -> None:
    openai_server.play([Answer(text="Still here.")])
    stack.redis.delete(DEAD_LETTERS)
    rubbish = ("{no json", "[]", "{}", '{"flow_uuid": " ", "flow_input_uuid": "x"}', 7, None, {"flow_uuid": "x"})
    for text in rubbish:
        producer.send_text(text)
    producer.send("Are you there?")
    assert producer.read().stop_reason == "completed"
    wait_until(lambda: stack.redis.llen(DEAD_LETTERS) == len(rubbish), "every message is put aside")
    wait_until(lambda: stack.broker.unsettled() == 0, "every message is done with")


def test_the_same_message_twice_runs_once(stack: Stack, openai_server: OpenAIServer, producer: LegacyProducer) -> None:
    openai_server.play([Answer(text="Only once.", piece=2, delay=0.03)])
    producer.send("Do it")
    producer.send("Do it")
    run = producer.read()
    producer.send("Do it")
    wait_until(lambda: stack.broker.unsettled() == 0, "every message is done with")
    assert run.stop_reason == "completed"
    assert len(openai_server.requests) == 1
    assert stack.log(producer.flow)[-1] == run.completion


@pytest.mark.parametrize(
    "query", [{}, {"flowUuid": "a"}, {"flowInputUuid": "b"}, {"flowUuid": " ", "flowInputUuid": "b"}]
)
def test_a_legacy_stream_without_its_ids_is_refused(stack: Stack, query: dict[str, str]) -> None:
    answer = stack.http.get("/agent/event-stream", params=query)
    assert answer.status_code == 400
    assert set(answer.json()) == {"detail", "code", "request_id"}
