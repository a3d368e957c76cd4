"""The life cycle of a run in Redis: each step happens once, in order, and only for its owner."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from shared.contract.api import OnBusy
from shared.contract.run import RunStatus, StopReason, Usage
from shared.contract.state import AgentState
from shared.errors import LeaseLostError
from shared.keys import ThreadKeys
from shared.store.run_values import Ended, RunWrite, SubmitOutcome, Submitted
from tests.integration.run_scene import WRITE, submit
from tests.integration.store_scene import StoreScene, end_of, open_store


@pytest.fixture
async def store(redis_url: str) -> AsyncIterator[StoreScene]:
    async with open_store(redis_url) as scene:
        yield scene


async def test_a_run_goes_from_submission_to_its_end(store: StoreScene) -> None:
    record = store.run("a", parameters={"max_steps": 3}, user_uuid="u")
    submitted = await store.runs.submit(record, on_busy=OnBusy.QUEUE)
    assert submitted == Submitted(SubmitOutcome.ACTIVE, record)
    assert await store.threads.active_run("t") == "a"
    claim = await store.claim("a")
    assert (claim.run.status, claim.run.attempts, claim.run.owner) == (RunStatus.PROCESSING, 1, "w")
    assert claim.run.parameters == {"max_steps": 3}
    assert (claim.state, claim.messages, claim.thread.thread_id) == (AgentState(), (), "t")
    await store.runs.append(claim.run, WRITE)
    ended = await store.runs.finish(claim.run, end_of("a"))
    assert ended == Ended(await store.events.last_id(store.keys.stream), None)
    run = await store.runs.get("t", "a")
    assert (run.status, run.stop_reason, run.owner, run.completion_id) == (
        RunStatus.COMPLETED, StopReason.COMPLETED, None, ended.completion_id,
    )  # fmt: skip
    assert run.started_at is not None
    assert run.ended_at is not None
    assert await store.threads.active_run("t") is None
    entries = await store.events.page(store.keys.stream, after="0-0", limit=10)
    assert [(e.data, e.run_id, e.event, e.is_final) for e in entries] == [
        (b"one", "a", "task_agent_execute", False),
        (b"two", "a", "task_agent_execute", False),
        (b"end of a", "a", "task_agent_execute", True),
    ]


async def test_the_next_run_finds_conversation_and_state_of_the_last(store: StoreScene) -> None:
    await submit(store, "a")
    first = await store.claim("a")
    await store.runs.append(first.run, WRITE)
    assert (await store.runs.get("t", "a")).usage == WRITE.usage
    await store.runs.append(first.run, RunWrite(2, state=AgentState()))
    await store.runs.finish(first.run, end_of("a"))
    await submit(store, "b")
    second = await store.claim("b")
    assert second.messages == tuple(WRITE.messages)
    assert second.state == AgentState(), "a plan that is gone is gone"
    assert second.thread.run_count == 2
    assert second.thread.last_run_id == "b"


Step = Callable[[StoreScene], Awaitable[object]]


def _create(store: StoreScene) -> Awaitable[object]:
    return store.threads.create("t2", metadata={"a": None})


def _submit(store: StoreScene) -> Awaitable[object]:
    return submit(store, "next", idempotency_key="key")


def _claim(store: StoreScene) -> Awaitable[object]:
    return store.claim("pending")


async def _append(store: StoreScene) -> None:
    await store.runs.append((await store.claim("pending")).run, WRITE)


async def _finish(store: StoreScene) -> object:
    return await store.runs.finish((await store.runs.get("t", "pending")), end_of("pending"))


def _fail(store: StoreScene) -> Awaitable[object]:
    return store.runs.fail_pending(store.run("pending"), end_of("pending", RunStatus.FAILED))


@pytest.mark.parametrize(
    "steps",
    [(_create,), (_submit,), (_claim,), (_append,), (_claim, _finish), (_fail,), (_submit, _fail)],
    ids=["create", "submit", "claim", "append", "finish", "fail_pending", "fail_pending with a queue"],
)
async def test_a_script_sent_twice_changes_and_answers_the_same(store: StoreScene, steps: tuple[Step, ...]) -> None:
    """The Redis client repeats a call whose answer was lost, so this happens in production."""
    await submit(store, "pending", idempotency_key="first")
    for step in steps[:-1]:
        await step(store)
    first = await steps[-1](store)
    once = await store.everything()
    assert await steps[-1](store) == first
    assert await store.everything() == once


async def test_of_two_claims_one_is_granted(store: StoreScene) -> None:
    await submit(store, "a")
    claims = await asyncio.gather(
        *(store.runs.claim("t", "a", owner=f"w{n}", claim_id=f"c{n}", lease_seconds=60) for n in range(5))
    )
    assert sum(claim is not None for claim in claims) == 1


async def test_a_run_that_is_queued_or_has_ended_or_is_unknown_cannot_be_claimed(store: StoreScene) -> None:
    await submit(store, "a")
    await submit(store, "b")
    assert await store.runs.claim("t", "b", owner="w", claim_id="x", lease_seconds=60) is None
    assert await store.runs.claim("t", "zzz", owner="w", claim_id="x", lease_seconds=60) is None
    run = (await store.claim("a")).run
    await store.runs.finish(run, end_of("a"))
    assert await store.runs.claim("t", "a", owner="w", claim_id="y", lease_seconds=60) is None


@pytest.mark.parametrize("other_by", [-1, 1, 10])
async def test_a_wrong_token_writes_and_ends_nothing(store: StoreScene, other_by: int) -> None:
    await submit(store, "a")
    run = (await store.claim("a")).run
    run = run.model_copy(update={"token": run.token + other_by})
    before = await store.everything()
    with pytest.raises(LeaseLostError):
        await store.runs.append(run, WRITE)
    with pytest.raises(LeaseLostError):
        await store.runs.finish(run, end_of("a"))
    assert await store.everything() == before


async def test_nothing_is_written_after_the_end_or_to_a_deleted_thread(store: StoreScene) -> None:
    await submit(store, "a")
    run = (await store.claim("a")).run
    await store.runs.finish(run, end_of("a"))
    before = await store.everything()
    with pytest.raises(LeaseLostError):
        await store.runs.append(run, WRITE)
    assert await store.everything() == before
    await store.threads.delete("t")
    with pytest.raises(LeaseLostError):
        await store.runs.append(run, WRITE)
    with pytest.raises(LeaseLostError):
        await store.runs.finish(run, end_of("a"))
    assert await store.runs.fail_pending(run, end_of("a")) is None
    assert await store.runs.claim("t", "a", owner="w", claim_id="x", lease_seconds=60) is None
    assert list(await store.everything()) == [ThreadKeys("t").tombstone.encode()]


async def test_two_ends_of_a_run_answer_the_same_and_leave_one_completion(store: StoreScene) -> None:
    await submit(store, "a")
    await submit(store, "b")
    run = (await store.claim("a")).run
    first = await store.runs.finish(run, end_of("a"))
    second = await store.runs.finish(run, end_of("a", RunStatus.FAILED))
    assert first == second
    assert first is not None
    assert first.next_run_id == "b"
    assert await store.completions() == ["a"]
    assert (await store.runs.get("t", "a")).status is RunStatus.COMPLETED


async def test_a_claimed_or_ended_run_cannot_be_failed_as_pending(store: StoreScene) -> None:
    await submit(store, "a")
    run = (await store.claim("a")).run
    assert await store.runs.fail_pending(run, end_of("a")) is None
    await store.runs.finish(run, end_of("a"))
    assert await store.runs.fail_pending(run, end_of("a")) is None
    assert await store.completions() == ["a"]


async def test_a_write_notifies_once_and_only_when_it_appends_entries(store: StoreScene) -> None:
    await submit(store, "a")
    run = (await store.claim("a")).run
    async with store.redis.pubsub() as channels:
        await channels.subscribe(store.keys.channel)
        await store.runs.append(run, WRITE)
        await store.runs.append(run, WRITE)
        await store.runs.append(run, RunWrite(2, usage=Usage()))
        await store.runs.finish(run, end_of("a"))
        await store.redis.publish(store.keys.channel, b"that was all")
        received: list[bytes] = []
        while not received or received[-1] != b"that was all":
            message = await channels.get_message(ignore_subscribe_messages=True, timeout=5)
            if message is not None:
                received.append(message["data"])
    assert received == [b"", b"", b"that was all"]
