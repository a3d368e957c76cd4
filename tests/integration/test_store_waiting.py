"""Waiting runs on a real Redis: no lease, one answer, and the waiting time is counted separately."""

from collections.abc import AsyncIterator

import pytest

from shared.contract.api import OnBusy
from shared.contract.message import ChatMessage, Role
from shared.contract.run import Answer, Question, QuestionKind, RunJob, RunRecord, RunStatus
from shared.errors import LeaseLostError, RunNotFoundError, RunNotWaitingError
from shared.store.leases import OpenRun
from shared.store.run_values import CancelOutcome, RunWrite, SteerText, WaitOutcome
from tests.integration.store_scene import StoreScene, end_of, open_store

QUESTION = Question(kind=QuestionKind.ASK_USER, call_id="c1", question="Tea?", expires_at="2030-01-01T00:00:00+00:00")
ANSWER = Answer(call_id="c1", text="green")
EVENT = b'{"asked":1}'


@pytest.fixture
async def store(redis_url: str) -> AsyncIterator[StoreScene]:
    async with open_store(redis_url) as opened:
        yield opened


@pytest.fixture
async def waiting(store: StoreScene) -> RunRecord:
    """A run `a` that waits; returns it as its worker had claimed it."""
    await store.runs.submit(store.run("a"), on_busy=OnBusy.QUEUE)
    run = (await store.claim("a")).run
    await store.runs.wait(run, QUESTION, EVENT)
    return run


async def test_a_waiting_run_has_its_question_and_no_owner(store: StoreScene, waiting: RunRecord) -> None:
    record = await store.runs.get("t", "a")
    assert (record.status, record.waiting, record.owner) == (RunStatus.WAITING, QUESTION, None)
    assert [entry.data for entry in await store.events.page(store.keys.stream, after="0-0", limit=9)] == [EVENT]
    assert all(seconds > 0 for seconds in (await store.lifetimes()).values())


async def test_the_worker_that_let_it_wait_can_write_nothing_more(store: StoreScene, waiting: RunRecord) -> None:
    before = await store.everything()
    with pytest.raises(LeaseLostError):
        await store.runs.append(waiting, RunWrite(99, events=[b"x"]))
    with pytest.raises(LeaseLostError):
        await store.runs.finish(waiting, end_of("a"))
    assert await store.everything() == before


async def test_waiting_twice_writes_its_event_once(store: StoreScene, waiting: RunRecord) -> None:
    before = await store.everything()
    await store.runs.wait(waiting, QUESTION, EVENT)
    assert await store.everything() == before


async def test_nobody_can_claim_a_run_that_waits(store: StoreScene, waiting: RunRecord) -> None:
    assert await store.runs.claim("t", "a", owner="w", claim_id="other", lease_seconds=1) is None


async def test_an_answered_run_can_be_claimed_with_its_answer(store: StoreScene, waiting: RunRecord) -> None:
    await store.runs.answer("t", "a", ANSWER)
    run = (await store.claim("a", "second")).run
    assert (run.answer, run.waiting, run.attempts, run.crashes) == (ANSWER, None, 2, 0)
    assert run.token > waiting.token
    assert run.waited_ms >= 0


async def test_the_same_answer_twice_is_taken_once_and_another_is_refused(
    store: StoreScene, waiting: RunRecord
) -> None:
    await store.runs.answer("t", "a", ANSWER)
    before = await store.everything()
    await store.runs.answer("t", "a", ANSWER)
    with pytest.raises(RunNotWaitingError):
        await store.runs.answer("t", "a", Answer(call_id="c1", text="black"))
    assert await store.everything() == before


async def test_an_answer_to_another_question_is_refused(store: StoreScene, waiting: RunRecord) -> None:
    with pytest.raises(RunNotWaitingError):
        await store.runs.answer("t", "a", Answer(call_id="c0", text="green"))
    with pytest.raises(RunNotFoundError):
        await store.runs.answer("t", "none", ANSWER)


async def test_a_waiting_run_is_cancelled_at_once_and_the_next_one_is_active(
    store: StoreScene, waiting: RunRecord
) -> None:
    await store.runs.submit(store.run("b"), on_busy=OnBusy.QUEUE)
    cancelled = await store.runs.cancel(await store.runs.get("t", "a"), end_of("a"))
    assert cancelled.outcome is CancelOutcome.CANCELLED
    assert cancelled.ended is not None
    assert cancelled.ended.next_run_id == "b"
    assert (await store.runs.get("t", "a")).waiting is None


@pytest.mark.parametrize("on_busy", [None, OnBusy.INTERRUPT, OnBusy.STEER], ids=["cancel", "interrupt", "steer"])
async def test_a_run_does_not_wait_after_a_cancel_or_steering_text(store: StoreScene, on_busy: OnBusy | None) -> None:
    await store.runs.submit(store.run("a"), on_busy=OnBusy.QUEUE)
    run = (await store.claim("a")).run
    if on_busy is None:
        assert (await store.runs.cancel(run, end_of("a"))).outcome is CancelOutcome.ASKED
    else:
        steer = SteerText(ChatMessage(role=Role.USER, content="no tea"), b"steer")
        await store.runs.submit(store.run("b"), on_busy=on_busy, steer=steer if on_busy is OnBusy.STEER else None)
    before = await store.everything()
    expected = WaitOutcome.STEERED if on_busy is OnBusy.STEER else WaitOutcome.CANCELLED
    assert await store.runs.wait(run, QUESTION, EVENT) is expected
    assert await store.everything() == before, "its worker still owns it, and no question was stored"


async def test_a_queued_run_names_the_waiting_run_before_it(store: StoreScene, waiting: RunRecord) -> None:
    await store.runs.submit(store.run("b"), on_busy=OnBusy.INTERRUPT)
    jobs = [RunJob(thread_id="t", run_id=run_id) for run_id in "ab"]
    first, second = await store.leases.inspect(jobs)
    assert isinstance(first, OpenRun)
    assert isinstance(second, OpenRun)
    assert (first.queued_after, first.is_cancel_requested, second.queued_after) == (None, True, "a")


async def test_an_answered_run_cannot_be_failed_as_never_claimed(store: StoreScene) -> None:
    await store.runs.submit(store.run("a"), on_busy=OnBusy.QUEUE, idempotency_key="k")
    run = (await store.claim("a")).run
    await store.runs.wait(run, QUESTION, EVENT)
    await store.runs.answer("t", "a", ANSWER)
    before = await store.everything()
    assert await store.runs.fail_pending(run, end_of("a", RunStatus.FAILED)) is None
    assert await store.everything() == before, "nor is its key free for a second run of the same task"
