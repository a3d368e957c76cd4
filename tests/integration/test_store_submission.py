"""What becomes of a submitted run in Redis: active, queued, refused or repeated, and found by its id."""

from collections.abc import AsyncIterator

import pytest

from shared.contract.api import OnBusy
from shared.contract.message import ChatMessage, Role
from shared.contract.run import RunRecord, RunStatus
from shared.errors import RunNotFoundError, ThreadBusyError, ThreadNotFoundError
from shared.keys import THREAD_INDEX
from shared.store.run_values import Ended, SteerText, SubmitOutcome
from tests.integration.run_scene import submit
from tests.integration.store_scene import TTL, StoreScene, end_of, open_store


@pytest.fixture
async def store(redis_url: str) -> AsyncIterator[StoreScene]:
    async with open_store(redis_url) as scene:
        yield scene


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
