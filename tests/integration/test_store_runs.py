"""The life cycle of a run in Redis: each step happens once, in order, and only for its owner."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from shared.contract.api import OnBusy
from shared.contract.message import ChatMessage, Role
from shared.contract.run import RunRecord, RunStatus, StopReason, Usage
from shared.contract.state import AgentState, Phase, Plan
from shared.errors import LeaseLostError, RunNotFoundError, ThreadBusyError, ThreadNotFoundError
from shared.keys import THREAD_INDEX, ThreadKeys
from shared.store.run_values import Ended, RunWrite, SteerText, SubmitOutcome, Submitted
from tests.integration.store_scene import TTL, StoreScene, end_of, open_store

LEGACY = "stream:t:old"
WRITE = RunWrite(
    1,
    events=[b"one", b"two"],
    messages=[ChatMessage(role=Role.USER, content="hello")],
    state=AgentState(phase=Phase.EXECUTION, plan=Plan(name="a", plan="b")),
    usage=Usage(steps=2, cost_usd=0.5),
)


@pytest.fixture
async def store(redis_url: str) -> AsyncIterator[StoreScene]:
    async with open_store(redis_url) as scene:
        yield scene


async def submit(
    store: StoreScene, run_id: str, *, on_busy: OnBusy = OnBusy.QUEUE, idempotency_key: str = ""
) -> Submitted:
    return await store.runs.submit(store.run(run_id), on_busy=on_busy, idempotency_key=idempotency_key)


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


async def test_queued_runs_follow_in_order_of_submission(store: StoreScene) -> None:
    outcomes = [(await submit(store, run_id)).outcome for run_id in "abcd"]
    assert outcomes == [SubmitOutcome.ACTIVE, *[SubmitOutcome.QUEUED] * 3]
    assert await store.runs.fail_pending(store.run("c"), end_of("c")) == Ended(
        await store.events.last_id(store.keys.stream), None
    )
    order = []
    current: str | None = "a"
    while current:
        order.append(current)
        claim = await store.claim(current, claim_id=current)
        ended = await store.runs.finish(claim.run, end_of(current))
        assert ended is not None
        current = ended.next_run_id
    assert order == ["a", "b", "d"]
    assert [run.run_id for run in (await store.runs.newest("t", start=0, limit=10)).runs] == ["d", "c", "b", "a"]
    assert await store.completions() == ["c", "a", "b", "d"]


async def test_a_busy_thread_refuses_when_asked_to(store: StoreScene) -> None:
    await submit(store, "a", on_busy=OnBusy.REJECT)
    with pytest.raises(ThreadBusyError):
        await submit(store, "b", on_busy=OnBusy.REJECT)
    with pytest.raises(RunNotFoundError):
        await store.runs.get("t", "b")


async def test_an_unknown_thread_takes_no_run(store: StoreScene) -> None:
    stray = RunRecord(run_id="a", thread_id="nowhere", task="x", created_at="2026-01-02T03:04:05+00:00")
    with pytest.raises(ThreadNotFoundError):
        await store.runs.submit(stray, on_busy=OnBusy.QUEUE)


async def test_the_same_key_gives_the_same_run_even_after_its_end(store: StoreScene) -> None:
    await submit(store, "a", idempotency_key="k")
    again = await submit(store, "b", idempotency_key="k", on_busy=OnBusy.REJECT)
    assert (again.outcome, again.run.run_id) == (SubmitOutcome.REPEATED, "a")
    run = (await store.claim("a")).run
    await store.runs.finish(run, end_of("a"))
    again = await submit(store, "c", idempotency_key="k")
    assert (again.outcome, again.run.run_id, again.run.status) == (SubmitOutcome.REPEATED, "a", RunStatus.COMPLETED)


async def test_a_run_that_never_started_frees_its_key(store: StoreScene) -> None:
    await submit(store, "a", idempotency_key="k")
    await store.runs.fail_pending(store.run("a"), end_of("a", RunStatus.FAILED))
    again = await submit(store, "b", idempotency_key="k")
    assert (again.outcome, again.run.run_id) == (SubmitOutcome.ACTIVE, "b")


async def test_a_claimed_or_ended_run_cannot_be_failed_as_pending(store: StoreScene) -> None:
    await submit(store, "a")
    run = (await store.claim("a")).run
    assert await store.runs.fail_pending(run, end_of("a")) is None
    await store.runs.finish(run, end_of("a"))
    assert await store.runs.fail_pending(run, end_of("a")) is None
    assert await store.completions() == ["a"]


async def _shared_and(store: StoreScene, *runs: str) -> set[str]:
    present = set(await store.lifetimes())
    return present & {*store.keys.shared, *(store.keys.run(run_id) for run_id in runs)}


async def test_every_write_renews_the_ttl_of_its_keys(store: StoreScene) -> None:
    await submit(store, "old", idempotency_key="k")
    old = (await store.claim("old")).run
    await store.runs.append(old, WRITE)
    await store.runs.finish(old, end_of("old"))

    async def check(*renewed_runs: str) -> None:
        lifetimes = await store.lifetimes()
        assert all(left > 0 for left in lifetimes.values()), lifetimes
        for key in await _shared_and(store, *renewed_runs):
            assert TTL - 100 < lifetimes[key] <= TTL + TTL / 8, key
        await store.grow_old()

    await store.grow_old()
    await submit(store, "a")
    await check("old", "a")
    await submit(store, "b")
    await check("old", "a", "b")
    run = (await store.claim("a")).run
    await check("old", "a", "b")
    await store.runs.append(run, RunWrite(1, events=[b"x"]))
    await check("old", "a", "b")
    await store.runs.finish(run, end_of("a"))
    await check("old", "a", "b")
    await store.runs.fail_pending(store.run("b"), end_of("b"))
    await check("old", "a", "b")


async def test_no_run_of_a_thread_is_gone_before_the_thread(store: StoreScene) -> None:
    async def check() -> None:
        lifetimes = await store.lifetimes()
        of_thread = {key: left for key, left in lifetimes.items() if key.startswith(("thread:t:", LEGACY))}
        assert min(of_thread.values()) >= TTL - 2, of_thread
        await store.grow_old(70)  # more than half of what lies between two renewals

    await store.runs.submit(store.run("old", legacy_stream=LEGACY), on_busy=OnBusy.QUEUE)
    old = (await store.claim("old")).run
    await store.runs.append(old, WRITE)
    await store.runs.finish(old, end_of("old"))
    await check()
    await submit(store, "a")
    await check()
    run = (await store.claim("a")).run
    for sequence in range(1, 6):
        await store.runs.append(run, RunWrite(sequence, events=[b"x"]))
        await check()
    await submit(store, "b")
    await check()
    await store.runs.finish(run, end_of("a"))
    await check()


async def test_earlier_runs_of_a_thread_are_not_renewed_with_every_write(store: StoreScene) -> None:
    await submit(store, "old")
    await store.runs.finish((await store.claim("old")).run, end_of("old"))
    await store.redis.expire(store.keys.run("old"), 500)
    await submit(store, "a")
    run = (await store.claim("a")).run
    await store.runs.append(run, WRITE)
    await store.runs.finish(run, end_of("a"))
    assert await store.redis.ttl(store.keys.run("old")) <= 500


async def test_a_task_that_is_not_stored_leaves_no_index_entry(store: StoreScene) -> None:
    await submit(store, "a", idempotency_key="k")
    with pytest.raises(ThreadBusyError):
        await store.runs.submit(store.run("refused"), on_busy=OnBusy.REJECT)
    with pytest.raises(ThreadNotFoundError):
        await store.runs.submit(store.run("lost", thread_id="nowhere"), on_busy=OnBusy.QUEUE)
    await submit(store, "again", idempotency_key="k")
    steer = SteerText(ChatMessage(role=Role.USER, content="x"), b"steer")
    await store.runs.submit(store.run("steer"), on_busy=OnBusy.STEER, steer=steer)
    await submit(store, "b")
    assert {key for key in await store.lifetimes() if key.startswith("run:")} == {"run:a:thread", "run:b:thread"}


async def test_a_task_keeps_its_thread_in_the_list_of_threads(store: StoreScene) -> None:
    await store.grow_old()
    await submit(store, "a")
    assert TTL - 100 < (await store.lifetimes())[THREAD_INDEX] <= TTL
    assert [thread.thread_id for thread in (await store.threads.newest(cursor=None, limit=10)).items] == ["t"]


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


async def test_a_long_log_is_trimmed_to_about_its_length(redis_url: str) -> None:
    async with open_store(redis_url, max_length=200) as store:
        await submit(store, "a")
        run = (await store.claim("a")).run
        await store.runs.append(run, RunWrite(1, events=[b"x"] * 2000))
        assert 200 <= await store.redis.xlen(store.keys.stream) <= 400


async def test_a_run_is_found_by_its_id_alone(store: StoreScene) -> None:
    await submit(store, "a")
    await store.grow_old()
    assert (await store.runs.find("a")).thread_id == "t"
    assert (await store.lifetimes())["run:a:thread"] > 100
    with pytest.raises(RunNotFoundError):
        await store.runs.find("unknown")
    await store.threads.delete("t")
    with pytest.raises(RunNotFoundError):
        await store.runs.find("a")


async def test_of_two_runs_with_one_id_the_later_is_found(store: StoreScene) -> None:
    await store.threads.create("other")
    await submit(store, "a")
    await store.runs.submit(store.run("a", thread_id="other"), on_busy=OnBusy.QUEUE)
    assert (await store.runs.find("a")).thread_id == "other"
    assert (await store.runs.get("t", "a")).thread_id == "t"


async def test_the_id_of_a_run_that_was_refused_finds_none(store: StoreScene) -> None:
    await submit(store, "a")
    with pytest.raises(ThreadBusyError):
        await store.runs.submit(store.run("b"), on_busy=OnBusy.REJECT)
    with pytest.raises(RunNotFoundError):
        await store.runs.find("b")
