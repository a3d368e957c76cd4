"""Steering text for an active run on a real Redis: it arrives once, in the log and in the conversation."""

from collections.abc import AsyncIterator

import pytest

from shared.contract.api import OnBusy
from shared.contract.message import ChatMessage, Role
from shared.contract.run import RunRecord, RunStatus
from shared.errors import LeaseLostError
from shared.ids import new_id
from shared.store.leases import RenewalOutcome
from shared.store.run_values import RunWrite, SteerText, SubmitOutcome, Submitted
from tests.integration.store_scene import StoreScene, end_of, open_store


@pytest.fixture
async def store(redis_url: str) -> AsyncIterator[StoreScene]:
    async with open_store(redis_url) as opened:
        yield opened


async def steer(store: StoreScene, run_id: str, *, key: str = "") -> Submitted:
    message = ChatMessage(role=Role.USER, content=f"text of {run_id}", run_id=run_id)
    steer = SteerText(message, f'{{"run_id":"{run_id}"}}'.encode())
    return await store.runs.submit(store.run(run_id), on_busy=OnBusy.STEER, idempotency_key=key, steer=steer)


async def at_work(store: StoreScene) -> RunRecord:
    await store.runs.submit(store.run("a"), on_busy=OnBusy.QUEUE)
    return (await store.claim("a")).run


async def take(store: StoreScene, run: RunRecord, nonce: str = "") -> list[str]:
    return [message.text() for message in await store.runs.take_steering(run, nonce=nonce or new_id())]


async def logged(store: StoreScene) -> list[tuple[str, bytes]]:
    entries = await store.events.page(store.keys.stream, after="0-0", limit=100)
    return [(entry.run_id, entry.data) for entry in entries]


async def test_steering_text_becomes_part_of_the_active_run(store: StoreScene) -> None:
    run = await at_work(store)
    submitted = await steer(store, "b")
    assert (submitted.outcome, submitted.run.run_id) == (SubmitOutcome.STEERED, "a")
    assert (await store.runs.newest("t", start=0, limit=10)).runs == [submitted.run], "it is no run of its own"
    assert await logged(store) == []
    assert await take(store, run) == ["text of b"]
    assert await logged(store) == [("a", b'{"run_id":"a"}')]
    (message,) = (await store.threads.messages("t", start=0, limit=10)).messages
    assert (message.role, message.text(), message.run_id) == (Role.USER, "text of b", "a")
    assert await take(store, run) == [], "it is taken once"


async def test_steering_texts_keep_their_order(store: StoreScene) -> None:
    run = await at_work(store)
    for run_id in "bcd":
        await steer(store, run_id)
    assert await take(store, run) == ["text of b", "text of c", "text of d"]


async def test_a_repeated_take_gets_the_lost_answer(store: StoreScene) -> None:
    run = await at_work(store)
    await steer(store, "b")
    first = await take(store, run, "nonce")
    before = await store.everything()
    assert await take(store, run, "nonce") == first == ["text of b"]
    assert await store.everything() == before


async def test_the_same_request_twice_adds_one_text(store: StoreScene) -> None:
    run = await at_work(store)
    for _ in range(2):
        await steer(store, "b")
        assert (await steer(store, "c", key="k")).run.run_id == "a"
    assert await take(store, run) == ["text of b", "text of c"]
    assert (await steer(store, "d", key="k")).outcome is SubmitOutcome.REPEATED
    assert await take(store, run) == []


async def test_a_worker_that_does_not_own_the_run_takes_nothing(store: StoreScene) -> None:
    run = await at_work(store)
    await steer(store, "b")
    before = await store.everything()
    with pytest.raises(LeaseLostError):
        await take(store, run.model_copy(update={"token": run.token + 1}))
    assert await store.everything() == before
    assert await take(store, run) == ["text of b"]


async def test_a_run_cannot_complete_before_it_has_taken_its_steering_text(store: StoreScene) -> None:
    run = await at_work(store)
    await steer(store, "b")
    before = await store.everything()
    assert await store.runs.finish(run, end_of("a")) is None
    assert await store.everything() == before
    await take(store, run)
    assert await store.runs.finish(run, end_of("a")) is not None


async def test_text_too_late_for_a_failing_run_goes_into_the_conversation(store: StoreScene) -> None:
    run = await at_work(store)
    await steer(store, "b")
    assert await store.runs.finish(run, end_of("a", RunStatus.FAILED)) is not None
    assert await logged(store) == [("a", b'{"run_id":"a"}'), ("a", b"end of a")]
    assert [message.text() for message in (await store.threads.messages("t", start=0, limit=10)).messages] == [
        "text of b"
    ]


async def test_text_sent_before_a_takeover_is_taken_after_it(store: StoreScene) -> None:
    old = await at_work(store)
    await steer(store, "b")
    await store.leases.release(old)
    new = (await store.claim("a", "second")).run
    assert await take(store, new) == ["text of b"]
    with pytest.raises(LeaseLostError):
        await take(store, old)


async def test_steering_text_for_an_idle_thread_is_a_run(store: StoreScene) -> None:
    submitted = await steer(store, "b")
    assert (submitted.outcome, submitted.run.run_id) == (SubmitOutcome.ACTIVE, "b")
    assert await take(store, (await store.claim("b")).run) == []


async def test_an_interrupting_run_is_next_before_queued_runs(store: StoreScene) -> None:
    run = await at_work(store)
    await store.runs.submit(store.run("b"), on_busy=OnBusy.QUEUE)
    interrupting = await store.runs.submit(store.run("c"), on_busy=OnBusy.INTERRUPT)
    assert (interrupting.outcome, interrupting.queued_after) == (SubmitOutcome.QUEUED, "a")
    ended = await store.runs.finish(run, end_of("a", RunStatus.CANCELLED))
    assert ended is not None
    assert ended.next_run_id == "c"


async def test_an_interrupted_run_sees_the_cancel_without_a_notification(store: StoreScene) -> None:
    run = await at_work(store)
    await store.runs.submit(store.run("b"), on_busy=OnBusy.QUEUE)
    assert (await store.runs.get("t", "a")).cancel_requested_at is None
    await store.runs.submit(store.run("c"), on_busy=OnBusy.INTERRUPT)
    assert await store.leases.renew([run], lease_seconds=5) == [RenewalOutcome.CANCEL_ASKED]
    assert (await store.runs.get("t", "b")).cancel_requested_at is None


async def test_taking_steering_text_renews_every_ttl_and_notifies(store: StoreScene) -> None:
    run = await at_work(store)
    await store.runs.append(run, RunWrite(1, events=[b"x"], messages=[ChatMessage(role=Role.USER, content="x")]))
    await store.grow_old()
    await steer(store, "b")
    async with store.redis.pubsub() as channels:
        await channels.subscribe(store.keys.channel)
        await take(store, run)
        await store.redis.publish(store.keys.channel, b"that was all")
        received: list[bytes] = []
        while not received or received[-1] != b"that was all":
            message = await channels.get_message(ignore_subscribe_messages=True, timeout=5)
            if message is not None:
                received.append(message["data"])
    assert received == [b"", b"that was all"]
    assert all(left > 100 for key, left in (await store.lifetimes()).items() if key.startswith("thread:"))
