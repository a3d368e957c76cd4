"""Unreadable records, as an earlier version or manual changes may leave them: they affect nothing else."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from modem.service.end_unreadable import UnreadableRuns
from modem.service.lease.expire_questions import QuestionExpiry
from modem.service.lease.reap_runs import Reaper
from shared.config import ModemConfig
from shared.contract.api import OnBusy
from shared.contract.message import ChatMessage, Role
from shared.contract.run import Question, QuestionKind, RunJob, RunRecord, RunStatus, StopReason
from shared.contract.state import AgentState, CallInFlight
from shared.errors import ThreadNotFoundError, UnreadableRecordError, UnreadableRunError
from shared.keys import OPEN_RUNS_INDEX, THREAD_INDEX
from shared.store.leases import UNREADABLE
from shared.store.run_values import RunWrite
from tests.integration.store_scene import LEASE, StoreScene, end_of, open_store
from tests.unit.modem.test_execute_run import FakePublisher

_DEEP = b"[" * 254 + b"1" + b"]" * 254
_GARBAGE = {
    "deep parameters": ("parameters", b'{"a":' + _DEEP + b"}"),
    "deep context": ("context_data", b'[{"type":"t","content":' + _DEEP + b"}]"),
    "no JSON": ("usage", b"{"),
    "no UTF-8": ("task", b"\xff\xfe"),
    "no number": ("attempts", b"many"),
    "no question": ("waiting", b'{"kind":"dance"}'),
}


@pytest.fixture
async def store(redis_url: str) -> AsyncIterator[StoreScene]:
    async with open_store(redis_url) as opened:
        yield opened


def ending(store: StoreScene, publisher: FakePublisher) -> UnreadableRuns:
    return UnreadableRuns(store.runs, store.leases, publisher, store.clock)


def reaper(store: StoreScene, publisher: FakePublisher) -> Reaper:
    expiry = QuestionExpiry(store.runs, "go on", store.clock)
    config = ModemConfig(lease_seconds=LEASE)
    return Reaper(store.leases, publisher, config, expiry, unreadable=ending(store, publisher))


async def submit(store: StoreScene, *run_ids: str) -> None:
    for run_id in run_ids:
        await store.runs.submit(store.run(run_id), on_busy=OnBusy.QUEUE)


async def end_of_claim(store: StoreScene, run_id: str, publisher: FakePublisher) -> None:
    """Claim a run, which cannot be read, and end it as a worker does."""
    with pytest.raises(UnreadableRunError) as refused:
        await store.claim(run_id)
    await ending(store, publisher).end(RunJob(thread_id="t", run_id=run_id), token=refused.value.token)


async def has_ended_as_poison(store: StoreScene, run_id: str, publisher: FakePublisher, following: str) -> bool:
    run = await store.runs.get("t", run_id)
    assert await store.completions() == [run_id]
    assert [job.run_id for job in publisher.jobs] == [following]
    assert await store.threads.active_run("t") == following
    return (run.status, run.stop_reason) == (RunStatus.FAILED, StopReason.POISON)


@pytest.mark.parametrize(("name", "value"), _GARBAGE.values(), ids=_GARBAGE)
async def test_a_list_shows_a_run_that_cannot_be_read_with_what_can(store: StoreScene, name: str, value: bytes) -> None:
    await submit(store, "a", "b")
    await store.redis.hset(store.keys.run("a"), name, value)
    second, first = (await store.runs.newest("t", start=0, limit=10)).runs
    assert (second.run_id, second.unreadable) == ("b", None)
    assert (first.run_id, first.status, first.unreadable) == ("a", RunStatus.PENDING, (name,))
    assert await store.runs.get("t", "a") == first


@pytest.mark.parametrize(
    ("name", "value"),
    [("context", b'{"a":' + _DEEP + b"}"), ("status", b"asleep"), ("created_at", b"once"), ("thread_id", b"\xff")],
    ids=["deep", "status", "time", "id"],
)
async def test_a_list_shows_a_thread_that_cannot_be_read_and_it_can_be_deleted(
    store: StoreScene, name: str, value: bytes
) -> None:
    await store.threads.create("u")
    await submit(store, "a")
    await store.redis.hset(store.keys.metadata, name, value)
    page = await store.threads.newest(cursor=None, limit=10)
    assert {thread.thread_id: thread.unreadable for thread in page.items} == {"u": None, "t": (name,)}
    assert (await store.threads.get("t")).unreadable == (name,)
    await store.threads.delete("t")
    assert [thread.thread_id for thread in (await store.threads.newest(cursor=None, limit=10)).items] == ["u"]
    assert await store.redis.keys("thread:t:*") == []
    assert await store.redis.zcard(OPEN_RUNS_INDEX) == 0


@pytest.mark.parametrize("key", ["metadata", "stream", "runs", "messages", "state", "inbox", "idempotency"])
async def test_a_thread_with_a_key_of_the_wrong_type_can_be_listed_and_deleted(store: StoreScene, key: str) -> None:
    await submit(store, "a", "b")
    await store.redis.set(getattr(store.keys, key), "not that")
    page = await store.threads.newest(cursor=None, limit=10)
    assert [thread.thread_id for thread in page.items] == ["t"]
    await store.threads.delete("t")
    # A run that is on no list expires by itself; `a` is the active one.
    unnamed = {store.keys.run("b").encode()} if key == "runs" else set()
    assert set(await store.redis.keys("thread:t:*")) == unnamed
    assert await store.redis.zcard(THREAD_INDEX) == 0
    with pytest.raises(ThreadNotFoundError):
        await store.threads.delete("t")


@pytest.mark.parametrize(("name", "value"), list(_GARBAGE.values())[:4], ids=list(_GARBAGE)[:4])
async def test_a_run_that_cannot_be_read_ends_as_poison_and_the_next_begins(
    store: StoreScene, name: str, value: bytes
) -> None:
    await submit(store, "a", "b")
    await store.redis.hset(store.keys.run("a"), name, value)
    publisher = FakePublisher()
    await end_of_claim(store, "a", publisher)
    assert await has_ended_as_poison(store, "a", publisher, "b")
    await ending(store, publisher).end(RunJob(thread_id="t", run_id="a"))
    assert await store.completions() == ["a"], "once"


async def test_invalid_numbers_are_counted_from_zero(store: StoreScene) -> None:
    await submit(store, "a")
    names = ("attempts", "token", "lease_until", "waiting_since_ms")
    await store.redis.hset(store.keys.run("a"), mapping=dict.fromkeys(names, "nan"))
    await store.redis.hset(store.keys.metadata, mapping={"runs_renewed_ms": "x", "run_count": "x", "log_lost_to": "x"})
    await submit(store, "b")
    run = (await store.claim("a")).run
    assert (run.attempts, run.crashes, run.token > 0) == (1, 0, True)


@pytest.mark.parametrize("key", ["messages", "state", "runs"])
async def test_a_conversation_of_the_wrong_type_ends_the_run(store: StoreScene, key: str) -> None:
    await submit(store, "a", "b")
    await store.redis.set(getattr(store.keys, key), "not that")
    await store.redis.hset(store.keys.metadata, "runs_renewed_ms", 0)
    publisher = FakePublisher()
    job = RunJob(thread_id="t", run_id="a")
    with pytest.raises(UnreadableRunError) as refused:
        await store.claim("a")
    await ending(store, publisher).end(job, token=refused.value.token)
    assert await has_ended_as_poison(store, "a", publisher, "b")
    await store.claim("b")


async def test_a_message_that_cannot_be_read_is_shown_as_such_and_ends_the_run(store: StoreScene) -> None:
    await submit(store, "a", "b")
    await store.redis.rpush(store.keys.messages, b'{"role":"user","content":"x"}', b'{"role":', b"\xff")
    page = await store.threads.messages("t", start=0, limit=10)
    assert [message.unreadable for message in page.messages] == [None, True, True]
    publisher = FakePublisher()
    await end_of_claim(store, "a", publisher)
    assert await has_ended_as_poison(store, "a", publisher, "b")


async def test_open_calls_are_closed_when_an_unreadable_run_ends(store: StoreScene) -> None:
    await submit(store, "a", "b")
    run = (await store.claim("a")).run
    call = CallInFlight(call_id="c1", name="bash", uuid="u1", began_at="then")
    await store.runs.append(run, RunWrite(1, state=AgentState(in_flight=(call,))))
    await store.leases.release(run)
    await store.redis.hset(store.keys.run("a"), "parameters", b"{")
    publisher = FakePublisher()
    await end_of_claim(store, "a", publisher)
    closing, _ = await store.events.page(store.keys.stream, after="0-0", limit=10)
    assert closing.type == "tool_bash"
    assert b'"uuid":"u1"' in closing.data
    (answer,) = (await store.threads.messages("t", start=0, limit=10)).messages
    assert (answer.role, answer.tool_call_id) == (Role.TOOL, "c1")
    assert await has_ended_as_poison(store, "a", publisher, "b")


@pytest.mark.parametrize("how", ["status", "question", "kind", "metadata"])
async def test_a_reaper_ends_unclaimable_runs_and_checks_the_others(store: StoreScene, how: str) -> None:
    await submit(store, "a", "b")
    await store.threads.create("u")
    await store.runs.submit(store.run("x", thread_id="u"), on_busy=OnBusy.QUEUE)
    key = store.keys.run("a")
    if how == "status":
        await store.redis.hset(key, "status", b"\xff asleep")
    elif how == "question":
        await store.redis.hset(key, mapping={"status": "waiting", "waiting": '{"kind":"ask_user","expires_at":"?"}'})
    else:
        await store.redis.set(key if how == "kind" else store.keys.metadata, "not that")
    job = RunJob(thread_id="t", run_id="a")
    found = await store.leases.inspect([job, RunJob(thread_id="u", run_id="x")])
    assert found[0] is UNREADABLE
    assert found[1] not in (None, UNREADABLE)
    await store.redis.zadd(OPEN_RUNS_INDEX, {"t a": 0, "u x": 0, b"\xff\xff": 0, b'["only one"]': 0})
    publisher = FakePublisher()
    await reaper(store, publisher).inspect_once()
    assert await store.completions() == ["a"]
    assert (await store.runs.get("t", "a")).stop_reason is StopReason.POISON
    assert {job.run_id for job in publisher.jobs} == {"b", "x"}
    assert sorted(await store.redis.zrange(OPEN_RUNS_INDEX, 0, -1)) == [b"t b", b"u x"]


async def test_a_run_with_a_live_lease_is_not_ended(store: StoreScene) -> None:
    await submit(store, "a")
    run = (await store.claim("a")).run
    await ending(store, FakePublisher()).end(RunJob(thread_id="t", run_id="a"))
    await ending(store, FakePublisher()).end(RunJob(thread_id="t", run_id="a"), token=str(run.token - 1))
    await store.runs.append(run, RunWrite(1, events=[b"x"], messages=[ChatMessage(role=Role.USER, content="x")]))
    assert await store.completions() == []


async def test_an_unreadable_run_loses_no_other_lease(store: StoreScene) -> None:
    await submit(store, "a")
    held = (await store.claim("a")).run
    await store.redis.set(store.keys.run("z"), "not that")
    gone = RunRecord(run_id="z", thread_id="t", task="", created_at="")
    outcomes = await asyncio.wait_for(store.leases.renew([gone, held], lease_seconds=LEASE), 5)
    assert [outcome.value for outcome in outcomes] == ["lost", "held"]


async def test_an_earlier_run_of_the_wrong_type_does_not_affect_later_runs(store: StoreScene) -> None:
    await submit(store, "a", "b")
    await store.runs.finish((await store.claim("a")).run, end_of("a"))
    await store.redis.set(store.keys.run("a"), "not that")
    await store.grow_old()
    run = (await store.claim("b")).run
    await store.runs.append(run, RunWrite(1, events=[b"x"]))
    assert await store.runs.finish(run, end_of("b")) is not None


async def test_a_read_of_several_streams_fails_if_one_has_the_wrong_type(store: StoreScene) -> None:
    await store.redis.xadd("fine", {"event": "x"})
    await store.redis.set(store.keys.stream, "not that")
    with pytest.raises(UnreadableRecordError):
        await store.events.read_after({"fine": "0-0", store.keys.stream: "0-0"}, limit=10)
    assert len((await store.events.read_after({"fine": "0-0"}, limit=10))["fine"]) == 1


async def test_a_queued_run_of_the_wrong_type_is_skipped(store: StoreScene) -> None:
    await submit(store, "a", "b", "c")
    await store.redis.set(store.keys.run("b"), "not that")
    ended = await store.runs.finish((await store.claim("a")).run, end_of("a"))
    assert ended is not None
    assert ended.next_run_id == "c"
    assert await store.completions() == ["a"]


async def test_a_waiting_run_that_cannot_be_answered_is_ended_and_not_the_next_one(store: StoreScene) -> None:
    await submit(store, "a")
    question = Question(kind=QuestionKind.ASK_USER, call_id="c", question="?")
    await store.runs.wait((await store.claim("a")).run, question, b"{}")
    await store.runs.submit(store.run("b"), on_busy=OnBusy.INTERRUPT)
    await store.redis.set(store.keys.runs, "not that")
    await store.redis.hset(store.keys.metadata, "runs_renewed_ms", 0)
    await store.redis.delete(OPEN_RUNS_INDEX)
    await store.redis.zadd(OPEN_RUNS_INDEX, {"t b": 0})
    publisher = FakePublisher()
    await reaper(store, publisher).inspect_once()
    assert await has_ended_as_poison(store, "a", publisher, "b")
