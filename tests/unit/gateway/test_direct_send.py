"""Which frames go to a client without waking its task: what its task would send next, and nothing else."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from gateway.service.stream.event_filter import EventFilter
from gateway.service.stream.page_reader import SharedPages
from gateway.service.stream.subscriber import Batch, HubTimings, Subscriber
from gateway.service.stream.topic import START, StreamTopic
from gateway.service.stream.types import Burst, Frame
from shared.ids import StreamId
from tests.fakes.fake_event_log import FakeEventLog

_CLIENTS_OF_MANY = 1000


class FakeSender:
    """Takes what it is sent while `can_take`."""

    def __init__(self) -> None:
        self.can_take = True
        self.sent: list[int] = []

    def send(self, burst: Burst) -> bool:
        if self.can_take:
            self.sent.extend(frame.id.milliseconds for frame in burst.frames)
        return self.can_take


class Scene:
    """A topic with one live client, whose task waits for the next batch."""

    def __init__(self, run_id: str | None, only: EventFilter | None) -> None:
        self.topic = StreamTopic("stream", "channel", page_bytes=4096, request_read=lambda _: None)
        self.sender = FakeSender()
        self.subscriber = _subscriber(self.topic, run_id, only)
        self.subscriber.direct = self.sender
        self.batches: list[Batch] = []
        self._task: asyncio.Task[Batch] | None = None

    async def wait_for_next(self) -> None:
        self._task = asyncio.create_task(self.subscriber.next())
        await asyncio.sleep(0)

    async def batch(self) -> list[int]:
        assert self._task is not None
        return [frame.id.milliseconds for frame in (await self._task).frames]

    def deliver(self, *frames: Frame) -> None:
        assert self.topic.deliver(self.topic.position, frames)


def _subscriber(topic: StreamTopic, run_id: str | None = None, only: EventFilter | None = None) -> Subscriber:
    pages = SharedPages(FakeEventLog())
    return Subscriber(topic, pages, START, buffer_bytes=4096, timings=HubTimings(), run_id=run_id, only=only)


@asynccontextmanager
async def scene(run_id: str | None = None, only: EventFilter | None = None) -> AsyncIterator[Scene]:
    made = Scene(run_id, only)
    made.topic.go_live(made.subscriber, seen_position=START)
    await made.wait_for_next()
    async with asyncio.timeout(5):
        yield made
    made.subscriber.nudge()


def frame(number: int, *, run_id: str = "run", kind: str = "assistant_delta", is_final: bool = False) -> Frame:
    return Frame(StreamId(number, 0), "task_agent_execute", b"{}", run_id, is_final, stored_type=kind)


async def test_a_waiting_client_is_sent_new_frames_and_its_task_sleeps_on() -> None:
    async with scene() as here:
        here.deliver(frame(1), frame(2))
        here.deliver(frame(3))
        assert here.sender.sent == [1, 2, 3]
        assert here.subscriber.cursor == StreamId(3, 0)
        assert here.subscriber.held_bytes == 0
        here.subscriber.nudge()
        assert await here.batch() == []


async def test_what_cannot_be_taken_goes_through_the_task_and_later_frames_stay_behind_it() -> None:
    async with scene() as here:
        here.sender.can_take = False
        here.deliver(frame(1))
        here.sender.can_take = True
        here.deliver(frame(2))
        assert here.sender.sent == []
        assert await here.batch() == [1, 2]
        here.deliver(frame(3))  # the task is still sending
        assert here.sender.sent == []
        await here.wait_for_next()
        assert await here.batch() == [3]


async def test_the_end_of_a_run_goes_through_the_task_because_it_may_close_the_stream() -> None:
    async with scene() as here:
        here.deliver(frame(1), frame(2, is_final=True))
        assert here.sender.sent == []
        assert await here.batch() == [1, 2]


@pytest.mark.parametrize(
    ("run_id", "only"), [("mine", None), (None, EventFilter(frozenset({"tool_bash"})))], ids=["of a run", "by type"]
)
async def test_a_client_is_sent_what_it_wants_only(run_id: str | None, only: EventFilter | None) -> None:
    async with scene(run_id, only) as here:
        here.deliver(frame(1, run_id="other"), frame(2, run_id="mine", kind="tool_bash"), frame(3, run_id="other"))
        here.deliver(frame(4, run_id="other"))
        assert here.sender.sent == [2]
        assert here.subscriber.cursor == StreamId(4, 0)
        assert here.subscriber.passed_at > 0


@pytest.mark.parametrize("wake", [Subscriber.nudge, Subscriber.detach], ids=["nudged", "detached"])
async def test_a_client_whose_task_was_woken_is_not_written_to(wake: Callable[[Subscriber], None]) -> None:
    async with scene() as here:
        wake(here.subscriber)
        here.deliver(frame(1))
        assert here.sender.sent == []


async def test_of_very_many_clients_some_are_left_to_their_tasks() -> None:
    topic = StreamTopic("stream", "channel", page_bytes=4096, request_read=lambda _: None)
    sender, tasks = FakeSender(), []
    for _ in range(_CLIENTS_OF_MANY):
        subscriber = _subscriber(topic)
        subscriber.direct = sender
        topic.go_live(subscriber, seen_position=START)
        tasks.append(asyncio.create_task(subscriber.next()))
    await asyncio.sleep(0)
    topic.deliver(topic.position, [frame(1)])
    assert 0 < len(sender.sent) < _CLIENTS_OF_MANY
    done = len(sender.sent)
    await asyncio.sleep(0)
    got = [task for task in tasks if task.done()]
    assert done + len(got) == _CLIENTS_OF_MANY
    for task in tasks:
        task.cancel()
