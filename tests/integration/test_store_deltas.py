"""Text deltas in the log: superseded by their message in one call, without a gap for a client that resumes."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from redis import Redis

from shared.contract.api import OnBusy
from shared.contract.event import StreamEntry
from shared.contract.message import ChatMessage, Role
from shared.contract.run import Question, QuestionKind, RunRecord, RunStatus
from shared.contract.state import AgentState, CallInFlight
from shared.errors import LeaseLostError
from shared.ids import parse_stream_id
from shared.store.run_values import CallEnd, RunWrite, SteerText
from tests.integration.store_scene import StoreScene, end_of, event_of, open_store

LEGACY: Final = "stream:t:a"
NOTE: Final = ChatMessage(role=Role.USER, content="x")
DELTA, MESSAGE, STATUS = event_of("assistant_delta"), event_of("assistant_response"), event_of("status")


@pytest.fixture
async def store(redis_url: str) -> AsyncIterator[StoreScene]:
    async with open_store(redis_url) as scene:
        yield scene


async def begin(store: StoreScene, run_id: str = "a", *, legacy: bool = False) -> RunRecord:
    run = store.run(run_id, legacy_stream=LEGACY if legacy else None)
    await store.runs.submit(run, on_busy=OnBusy.QUEUE)
    return (await store.claim(run_id)).run


async def entries(store: StoreScene, stream: str = "") -> list[StreamEntry]:
    return await store.events.page(stream or store.keys.stream, after="0-0", limit=10_000)


async def types(store: StoreScene, stream: str = "") -> list[str]:
    return [entry.type for entry in await entries(store, stream)]


def supersede(sequence: int, *events: bytes) -> RunWrite:
    return RunWrite(sequence, events=events or [MESSAGE], supersedes_text=True)


@pytest.mark.parametrize("legacy", [False, True], ids=["thread", "legacy"])
async def test_a_message_supersedes_its_deltas_on_both_streams(store: StoreScene, legacy: bool) -> None:
    run = await begin(store, legacy=legacy)
    await store.runs.append(run, RunWrite(1, events=[event_of("user_message"), DELTA]))
    await store.runs.append(run, RunWrite(2, events=[DELTA, event_of("tool_bash"), DELTA]))
    await store.runs.append(run, supersede(3, MESSAGE, DELTA))
    expected = ["user_message", "tool_bash", "assistant_response", "assistant_delta"]
    assert await types(store) == expected
    if legacy:
        assert await entries(store, LEGACY) == await entries(store)
    await store.runs.append(run, supersede(4))
    assert await types(store) == [*expected[:3], "assistant_response"]


async def test_all_deltas_of_a_long_text_are_removed(store: StoreScene) -> None:
    run = await begin(store)
    for sequence in range(1, 6):
        await store.runs.append(run, RunWrite(sequence, events=[DELTA] * 700))
    await store.runs.append(run, supersede(6))
    assert await types(store) == ["assistant_response"]


async def test_text_of_a_run_that_ended_before_its_message_stays(store: StoreScene) -> None:
    first = await begin(store, "a")
    await store.runs.append(first, RunWrite(1, events=[DELTA]))
    await store.runs.finish(first, end_of("a", RunStatus.CANCELLED))
    second = await begin(store, "b")
    await store.runs.append(second, RunWrite(1, events=[DELTA]))
    await store.runs.append(second, supersede(2))
    assert [(entry.run_id, entry.type) for entry in await entries(store)] == [
        ("a", "assistant_delta"), ("a", "task_agent_execute"), ("b", "assistant_response"),
    ]  # fmt: skip


async def test_a_new_attempt_removes_the_deltas_of_the_old_one(store: StoreScene) -> None:
    old = await begin(store)
    await store.runs.append(old, RunWrite(1, events=[DELTA, DELTA]))
    await store.leases.release(old)
    new = (await store.claim("a", "c2")).run
    await store.runs.append(new, supersede(1, STATUS))
    assert await types(store) == ["status"]


async def test_a_worker_without_its_lease_removes_nothing(store: StoreScene) -> None:
    old = await begin(store)
    await store.leases.release(old)
    new = (await store.claim("a", "c2")).run
    await store.runs.append(new, RunWrite(1, events=[DELTA]))
    with pytest.raises(LeaseLostError):
        await store.runs.append(old, supersede(1))
    assert await types(store) == ["assistant_delta"]


async def test_a_repeated_message_removes_nothing_more(store: StoreScene) -> None:
    run = await begin(store)
    await store.runs.append(run, RunWrite(1, events=[DELTA]))
    await store.runs.append(run, supersede(2))
    await store.runs.append(run, RunWrite(3, events=[DELTA]))
    await store.runs.append(run, supersede(2))
    assert await types(store) == ["assistant_response", "assistant_delta"]


async def test_every_way_to_write_an_entry_sets_its_type(store: StoreScene) -> None:
    run = await begin(store)
    # A type inside of a user's or a tool's text is not the entry's type.
    event = event_of("user_message", '{"text":"\\"execute_type\\":\\"no\\""}')
    await store.runs.submit(store.run("s"), on_busy=OnBusy.STEER, steer=SteerText(NOTE, event))
    await store.runs.take_steering(run, nonce="n")
    state = AgentState(in_flight=(CallInFlight(call_id="c", name="ls", uuid="u", began_at="now"),))
    await store.runs.append(run, RunWrite(1, events=[event_of("tool_ls", '{"execute_type":"no"}')], state=state))
    await store.runs.wait(run, Question(call_id="c", question="?", kind=QuestionKind.ASK_USER), event_of("ask_user"))
    await store.runs.cancel(run, end_of("a", RunStatus.CANCELLED), CallEnd(NOTE, event_of("tool_")))
    last = await begin(store, "b")
    await store.runs.finish(last, replace(end_of("b"), event=event_of("flow_completion")))
    assert await types(store) == [
        "user_message", "tool_ls", "ask_user", "tool_ls", "task_agent_execute", "flow_completion",
    ]  # fmt: skip


@dataclass
class Written:
    """One entry as it was written; `is_superseded` once it is text that a message has superseded."""

    id: str
    is_text: bool
    run_id: str
    is_superseded: bool = False


@dataclass
class LongLog:
    """A thread whose log is cut off at the limit, beside everything that was ever written to it."""

    store: StoreScene
    run: RunRecord | None = None
    sequence: int = 0
    count: int = 0
    written: list[Written] = field(default_factory=list)

    async def write(self, action: str, size: int) -> None:
        if self.run is None:
            self.count += 1
            self.run, self.sequence = await begin(self.store, f"r{self.count}"), 0
        if action == "end":
            ended = await self.store.runs.finish(self.run, end_of(self.run.run_id))
            assert ended is not None
            self.written.append(Written(ended.completion_id, False, self.run.run_id))
            self.run = None
            return
        self.sequence += 1
        events = {"text": [DELTA] * size, "events": [event_of("tool_ls")] * size, "message": [MESSAGE]}[action]
        before = await self.store.events.last_id(self.store.keys.stream)
        is_message = action == "message"
        await self.store.runs.append(self.run, RunWrite(self.sequence, events=events, supersedes_text=is_message))
        for each in self.written if is_message else []:
            each.is_superseded |= each.is_text and each.run_id == self.run.run_id
        new = await self.store.events.page(self.store.keys.stream, after=before, limit=size)
        assert len(new) == len(events), "what was just written is never cut off"
        self.written += [Written(entry.id, action == "text", self.run.run_id) for entry in new]

    async def check(self) -> None:
        """For every id that a client can have seen: a gap is reported exactly if it misses something."""
        page = await self.store.events.page_with_first(self.store.keys.stream, after="0-0", limit=10_000)
        kept = {entry.id for entry in page.entries}
        missing = [each.id for each in self.written if not each.is_superseded and each.id not in kept]
        assert not [each for each in self.written if each.is_superseded and each.id in kept]
        assert page.complete_after is not None
        reported = parse_stream_id(page.complete_after)
        newest_missing = max(map(parse_stream_id, missing), default=None)
        for seen in (parse_stream_id(each.id) for each in self.written):
            assert (reported > seen) == (newest_missing is not None and newest_missing > seen)


LONG_TEXT: Final = [("text", 70)] * 3  # the limit cuts its beginning off before its message comes
ACTIONS = st.tuples(
    st.sampled_from(["text", "text", "events", "message", "message", "end"]), st.sampled_from([1, 20, 70])
)


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(ACTIONS, min_size=3, max_size=14), st.sampled_from([70, 110]))
@example([*LONG_TEXT, ("message", 1)], 70)
@example([*LONG_TEXT, ("end", 1), *LONG_TEXT, ("message", 1)], 70)
@example([("events", 70), *LONG_TEXT, ("events", 1), ("end", 1), ("text", 70), ("message", 1)], 70)
@example([("text", 169), ("end", 1), ("text", 1), ("message", 1)], 70)  # its end cuts off text that stays
def test_a_gap_is_reported_exactly_when_a_reader_misses_something(
    redis_url: str, actions: Sequence[tuple[str, int]], max_length: int
) -> None:
    async def play() -> None:
        async with open_store(redis_url, max_length=max_length) as store:
            log = LongLog(store)
            for action, size in actions:
                await log.write(action, size)
                await log.check()

    with Redis.from_url(redis_url) as redis:
        redis.flushdb()
    asyncio.run(play())


async def test_entries_removed_by_others_are_reported_as_a_gap(store: StoreScene) -> None:
    run = await begin(store)
    await store.runs.append(run, RunWrite(1, events=[event_of("tool_ls")] * 5))
    ids = [entry.id for entry in await entries(store)]
    await store.redis.xtrim(store.keys.stream, maxlen=2, approximate=False)
    page = await store.events.page_with_first(store.keys.stream, after="0-0", limit=10)
    assert (page.first_id, page.complete_after) == (ids[3], ids[3])


async def test_entries_trimmed_by_the_write_that_empties_the_log_are_reported(redis_url: str) -> None:
    async with open_store(redis_url, max_length=10) as store:
        run = await begin(store)
        await store.runs.append(run, RunWrite(1, events=[DELTA] * 5))
        seen = await store.events.last_id(store.keys.stream)
        await store.runs.append(run, supersede(2, *[event_of("tool_ls")] * 120))
        page = await store.events.page_with_first(store.keys.stream, after=seen, limit=1000)
        assert len(page.entries) == 10
        assert page.complete_after is not None
        assert parse_stream_id(seen) < parse_stream_id(page.complete_after) < parse_stream_id(page.entries[0].id)


async def test_many_large_entries_at_once_do_not_exceed_the_limit(redis_url: str) -> None:
    large = event_of("tool_bash", '"' + "x" * 140_000 + '"')
    async with open_store(redis_url, max_length=10) as store:
        run = await begin(store)
        for sequence in range(1, 13):
            await store.runs.append(run, RunWrite(sequence, events=[large] * 30))
        assert len(await entries(store)) < 10 + 200


async def test_text_trimmed_by_the_end_of_another_run_is_missing_until_its_message_comes(redis_url: str) -> None:
    async with open_store(redis_url, max_length=10) as store:
        run, queued = await begin(store), store.run("b")
        await store.runs.submit(queued, on_busy=OnBusy.QUEUE)
        await store.runs.append(run, RunWrite(1, events=[DELTA] * 109))
        seen = (await entries(store))[5].id
        await store.runs.cancel(queued, end_of("b", RunStatus.CANCELLED))
        assert await types(store) == ["assistant_delta"] * 9 + ["task_agent_execute"]
        page = await store.events.page_with_first(store.keys.stream, after=seen, limit=100)
        assert page.complete_after is not None
        assert parse_stream_id(page.complete_after) > parse_stream_id(seen)
        await store.runs.append(run, supersede(2))
        page = await store.events.page_with_first(store.keys.stream, after=seen, limit=100)
        assert page.complete_after is not None
        assert parse_stream_id(page.complete_after) <= parse_stream_id(seen)
