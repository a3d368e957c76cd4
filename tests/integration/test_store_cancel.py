"""A cancel request on a real Redis: the owner is notified; a run without an owner ends at once, and once."""

import asyncio
from collections.abc import AsyncIterator

import orjson
import pytest

from gateway.service.run.cancel import RunCancellation
from shared.contract.api import OnBusy
from shared.contract.message import ChatMessage, Role, ToolCall
from shared.contract.run import Answer, Question, QuestionKind, RunJob, RunRecord, RunStatus, StopReason
from shared.contract.state import AgentState, CallInFlight, Phase
from shared.errors import LeaseLostError, RunNotFoundError
from shared.ids import new_id
from shared.keys import OPEN_RUNS_INDEX, WORKER_CHANNEL_PREFIX
from shared.store.leases import RenewalOutcome
from shared.store.redis.connection import Connection
from shared.store.run_values import Cancelled, CancelOutcome, RunWrite
from tests.integration.store_scene import StoreScene, end_of, open_store


@pytest.fixture
async def store(redis_url: str) -> AsyncIterator[StoreScene]:
    async with open_store(redis_url) as opened:
        yield opened


async def submit(store: StoreScene, *run_ids: str) -> None:
    for run_id in run_ids:
        await store.runs.submit(store.run(run_id), on_busy=OnBusy.QUEUE)


async def owned(store: StoreScene, run_id: str = "a", *, lease_seconds: float = 60) -> RunRecord:
    found = await store.runs.claim("t", run_id, owner="w", claim_id=new_id(), lease_seconds=lease_seconds)
    assert found is not None
    return found.run


async def expired(store: StoreScene) -> RunRecord:
    run = await owned(store)
    await store.redis.hset(store.keys.run("a"), "lease_until", 1)
    return run


async def cancel(store: StoreScene, run_id: str = "a") -> Cancelled:
    return await store.runs.cancel(store.run(run_id), end_of(run_id, RunStatus.CANCELLED))


async def inbox(store: StoreScene) -> list[bytes]:
    found: list[bytes] = await store.redis.lrange(store.keys.inbox, 0, -1)
    return found


async def test_a_pending_run_is_cancelled_and_the_next_one_becomes_active(store: StoreScene) -> None:
    await submit(store, "a", "b", "c")
    cancelled = await cancel(store)
    assert cancelled.outcome is CancelOutcome.CANCELLED
    assert cancelled.ended is not None
    assert cancelled.ended.next_run_id == "b"
    assert (await store.threads.active_run("t"), await inbox(store)) == ("b", [b"c"])
    assert (await store.runs.get("t", "a")).status is RunStatus.CANCELLED
    assert await store.completions() == ["a"]
    assert await store.runs.claim("t", "a", owner="w", claim_id="x", lease_seconds=60) is None


async def test_a_queued_run_is_cancelled_and_the_inbox_keeps_its_order(store: StoreScene) -> None:
    await submit(store, "a", "b", "c", "d")
    cancelled = await cancel(store, "c")
    assert cancelled.ended is not None
    assert cancelled.ended.next_run_id is None
    assert (await store.threads.active_run("t"), await inbox(store)) == ("a", [b"b", b"d"])
    assert await store.completions() == ["c"]


async def test_the_owner_of_a_run_is_notified_and_sees_a_cancel_at_the_next_renewal(store: StoreScene) -> None:
    await submit(store, "a")
    run = await owned(store)
    channel = f"{WORKER_CHANNEL_PREFIX}w"
    async with Connection(store.redis).worker_notifications().open() as subscription, asyncio.timeout(5):
        await subscription.watch([channel])
        while channel not in await subscription.received():
            pass
        assert await cancel(store) == Cancelled(CancelOutcome.ASKED, None)
        while channel not in await subscription.received():
            pass
    assert await store.leases.renew([run], lease_seconds=60) == [RenewalOutcome.CANCEL_ASKED]
    assert (await store.runs.get("t", "a")).status is RunStatus.PROCESSING
    assert await store.completions() == []
    await store.runs.finish(run, end_of("a", RunStatus.CANCELLED))
    assert await store.completions() == ["a"]


async def test_a_run_whose_lease_ran_out_is_ended_and_its_old_owner_fenced_off(store: StoreScene) -> None:
    await submit(store, "a", "b")
    old = await expired(store)
    cancelled = await cancel(store)
    assert cancelled.outcome is CancelOutcome.CANCELLED
    assert await store.threads.active_run("t") == "b"
    before = await store.everything()
    with pytest.raises(LeaseLostError):
        await store.runs.append(old, RunWrite(1, events=[b"late"]))
    with pytest.raises(LeaseLostError):
        await store.runs.finish(old, end_of("a"))
    assert await store.leases.renew([old], lease_seconds=60) == [RenewalOutcome.LOST]
    assert await store.leases.release(old) is False
    assert await store.everything() == before


async def test_a_released_run_is_ended_at_once(store: StoreScene) -> None:
    await submit(store, "a")
    await store.leases.release(await owned(store))
    assert (await cancel(store)).outcome is CancelOutcome.CANCELLED
    assert await store.completions() == ["a"]


async def test_cancelling_twice_changes_nothing_more(store: StoreScene) -> None:
    await submit(store, "a", "b")
    first = await cancel(store)
    before = await store.everything()
    assert await cancel(store) == first, "the next run is returned again, in case the first answer was lost"
    assert await store.everything() == before


async def test_a_second_cancel_keeps_the_first_request(store: StoreScene) -> None:
    await submit(store, "a")
    await owned(store)
    await cancel(store)
    first = (await store.runs.get("t", "a")).cancel_requested_at
    store.clock.advance(5)
    assert (await cancel(store)).outcome is CancelOutcome.ASKED
    assert (await store.runs.get("t", "a")).cancel_requested_at == first
    assert first is not None


async def test_an_ended_run_stays_as_it_is(store: StoreScene) -> None:
    await submit(store, "a")
    await store.runs.finish(await owned(store), end_of("a"))
    before = await store.everything()
    assert (await cancel(store)).outcome is CancelOutcome.ENDED
    assert await store.everything() == before


async def test_an_unknown_run_cannot_be_cancelled(store: StoreScene) -> None:
    before = await store.everything()
    with pytest.raises(RunNotFoundError):
        await cancel(store, "unknown")
    assert await store.everything() == before


async def test_a_takeover_sees_the_cancel_request(store: StoreScene) -> None:
    await submit(store, "a")
    await owned(store)
    await cancel(store)
    await store.redis.hset(store.keys.run("a"), "lease_until", 1)
    assert (await owned(store)).cancel_requested_at is not None


async def test_a_cancel_leaves_everything_with_a_time_to_live(store: StoreScene) -> None:
    await submit(store, "a", "b")
    await store.grow_old()
    await cancel(store)
    assert all(left > 100 for key, left in (await store.lifetimes()).items() if key.startswith("thread:"))


class FakePublisher:
    """Keeps what was published."""

    def __init__(self) -> None:
        self.jobs: list[RunJob] = []

    async def publish(self, job: RunJob) -> None:
        self.jobs.append(job)


async def test_the_use_case_ends_a_waiting_run_with_one_event_and_starts_the_next(store: StoreScene) -> None:
    await submit(store, "a", "b")
    publisher = FakePublisher()
    cancellation = RunCancellation(store.runs, store.leases, publisher, store.clock)
    assert await cancellation.cancel("t", "a") is RunStatus.CANCELLED
    assert await cancellation.cancel("t", "a") is RunStatus.CANCELLED
    assert publisher.jobs == [RunJob(thread_id="t", run_id="b")]
    (entry,) = await store.events.page(store.keys.stream, after="0-0", limit=10)
    data = orjson.loads(entry.data)
    assert (data["execute_type"], data["error_flag"]) == ("flow_completion", False)
    assert data["execute_result"]["stop_reason"] == StopReason.CANCELLED
    assert await store.redis.zrange(OPEN_RUNS_INDEX, 0, -1) == [b"t b"]


async def test_the_use_case_leaves_an_owned_run_to_its_owner(store: StoreScene) -> None:
    await submit(store, "a")
    await owned(store)
    publisher = FakePublisher()
    cancellation = RunCancellation(store.runs, store.leases, publisher, store.clock)
    assert await cancellation.cancel("t", "a") is RunStatus.PROCESSING
    assert (publisher.jobs, await store.completions()) == ([], [])
    with pytest.raises(RunNotFoundError):
        await cancellation.cancel("t", "unknown")


BEGAN = "2026-01-02T03:04:06.000000+00:00"


async def in_two_calls(store: StoreScene) -> RunRecord:
    """Return a run whose log shows two tool calls open."""
    run = await owned(store)
    calls = tuple(ToolCall(call_id=f"call {name}", name=name, arguments="{}") for name in ("bash", "ls"))
    state = AgentState(
        phase=Phase.EXECUTION,
        in_flight=tuple(
            CallInFlight(call_id=call.call_id, name=call.name, uuid=f"uuid {call.name}", began_at=BEGAN)
            for call in calls
        ),
    )
    message = ChatMessage(role=Role.ASSISTANT, tool_calls=calls, run_id="a")
    await store.runs.append(run, RunWrite(1, messages=[message], state=state))
    return run


async def test_calls_that_a_lost_worker_left_open_are_closed_before_the_end(store: StoreScene) -> None:
    await submit(store, "a", "b")
    await in_two_calls(store)
    await store.redis.hset(store.keys.run("a"), "lease_until", 1)
    cancellation = RunCancellation(store.runs, store.leases, FakePublisher(), store.clock)
    assert await cancellation.cancel("t", "a") is RunStatus.CANCELLED
    entries = await store.events.page(store.keys.stream, after="0-0", limit=10)
    *ends, completion = [orjson.loads(entry.data) for entry in entries]
    assert [(e["execute_type"], e["uuid"], e["current_state"], e["error_flag"]) for e in ends] == [
        ("tool_bash", "uuid bash", "error", True), ("tool_ls", "uuid ls", "error", True),
    ]  # fmt: skip
    assert {(e["run_id"], e["execute_start_at"], e["create_at"]) for e in ends} == {("a", BEGAN, BEGAN)}
    assert all("its worker was lost" in e["execute_result"]["error"] for e in ends)
    assert completion["execute_type"] == "flow_completion"
    _, *answers = (await store.threads.messages("t", start=0, limit=10)).messages
    assert [(m.role, m.tool_call_id, m.run_id) for m in answers] == [
        (Role.TOOL, "call bash", "a"), (Role.TOOL, "call ls", "a"),
    ]  # fmt: skip
    claim = await store.claim("b")
    assert (claim.state.in_flight, claim.state.phase) == ((), Phase.EXECUTION)


async def test_a_cancel_after_an_answer_closes_what_the_run_had_begun(store: StoreScene) -> None:
    await submit(store, "a")
    run = await in_two_calls(store)
    asked = Question(kind=QuestionKind.ASK_USER, call_id="call ls", question="?")
    await store.runs.wait(run, asked, b"asked")
    await store.runs.answer("t", "a", Answer(call_id="call ls", text="yes"))
    cancellation = RunCancellation(store.runs, store.leases, FakePublisher(), store.clock)
    assert await cancellation.cancel("t", "a") is RunStatus.CANCELLED
    entries = await store.events.page(store.keys.stream, after="0-0", limit=10)
    assert [entry.type for entry in entries][1:] == ["tool_bash", "tool_ls", "flow_completion"]
    _, *answers = (await store.threads.messages("t", start=0, limit=10)).messages
    assert [message.tool_call_id for message in answers] == ["call bash", "call ls"]


async def test_calls_of_a_run_at_work_are_left_alone_by_a_cancel_of_another(store: StoreScene) -> None:
    await submit(store, "a", "b")
    run = await in_two_calls(store)
    before = await store.redis.hgetall(store.keys.state)
    cancellation = RunCancellation(store.runs, store.leases, FakePublisher(), store.clock)
    assert await cancellation.cancel("t", "b") is RunStatus.CANCELLED
    assert await cancellation.cancel("t", "a") is RunStatus.PROCESSING
    assert await store.redis.hgetall(store.keys.state) == before
    assert await store.completions() == ["b"]
    await store.runs.append(run, RunWrite(2, events=[b"still there"]))
