"""What is said to a run at work, on a real Redis: it arrives once, in the log and the conversation alike."""

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


async def say(store: StoreScene, run_id: str, *, key: str = "") -> Submitted:
    message = ChatMessage(role=Role.USER, content=f"said by {run_id}", run_id=run_id)
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


async def test_what_is_said_becomes_part_of_the_active_run(store: StoreScene) -> None:
    run = await at_work(store)
    said = await say(store, "b")
    assert (said.outcome, said.run.run_id) == (SubmitOutcome.STEERED, "a")
    assert (await store.runs.newest("t", start=0, limit=10)).runs == [said.run], "it is no run of its own"
    assert await logged(store) == []
    assert await take(store, run) == ["said by b"]
    assert await logged(store) == [("a", b'{"run_id":"a"}')]
    (message,) = (await store.threads.messages("t", start=0, limit=10)).messages
    assert (message.role, message.text(), message.run_id) == (Role.USER, "said by b", "a")
    assert await take(store, run) == [], "it is said once"


async def test_what_is_said_in_a_row_keeps_its_order(store: StoreScene) -> None:
    run = await at_work(store)
    for run_id in "bcd":
        await say(store, run_id)
    assert await take(store, run) == ["said by b", "said by c", "said by d"]


async def test_an_answer_that_was_lost_can_be_asked_for_again(store: StoreScene) -> None:
    run = await at_work(store)
    await say(store, "b")
    first = await take(store, run, "nonce")
    before = await store.everything()
    assert await take(store, run, "nonce") == first == ["said by b"]
    assert await store.everything() == before


async def test_the_same_request_twice_says_it_once(store: StoreScene) -> None:
    run = await at_work(store)
    for _ in range(2):
        await say(store, "b")
        assert (await say(store, "c", key="k")).run.run_id == "a"
    assert await take(store, run) == ["said by b", "said by c"]
    assert (await say(store, "d", key="k")).outcome is SubmitOutcome.REPEATED
    assert await take(store, run) == []


async def test_who_does_not_own_the_run_takes_nothing(store: StoreScene) -> None:
    run = await at_work(store)
    await say(store, "b")
    before = await store.everything()
    with pytest.raises(LeaseLostError):
        await take(store, run.model_copy(update={"token": run.token + 1}))
    assert await store.everything() == before
    assert await take(store, run) == ["said by b"]


async def test_a_run_that_was_spoken_to_cannot_end_well_before_it_has_heard_it(store: StoreScene) -> None:
    run = await at_work(store)
    await say(store, "b")
    before = await store.everything()
    assert await store.runs.finish(run, end_of("a")) is None
    assert await store.everything() == before
    await take(store, run)
    assert await store.runs.finish(run, end_of("a")) is not None


async def test_what_came_too_late_for_a_failing_run_stands_in_the_conversation(store: StoreScene) -> None:
    run = await at_work(store)
    await say(store, "b")
    assert await store.runs.finish(run, end_of("a", RunStatus.FAILED)) is not None
    assert await logged(store) == [("a", b'{"run_id":"a"}'), ("a", b"end of a")]
    assert [message.text() for message in (await store.threads.messages("t", start=0, limit=10)).messages] == [
        "said by b"
    ]


async def test_what_is_said_before_a_takeover_is_heard_after_it(store: StoreScene) -> None:
    old = await at_work(store)
    await say(store, "b")
    await store.leases.release(old)
    new = (await store.claim("a", "second")).run
    assert await take(store, new) == ["said by b"]
    with pytest.raises(LeaseLostError):
        await take(store, old)


async def test_on_an_idle_thread_it_is_a_run_like_any_other(store: StoreScene) -> None:
    said = await say(store, "b")
    assert (said.outcome, said.run.run_id) == (SubmitOutcome.ACTIVE, "b")
    assert await take(store, (await store.claim("b")).run) == []


async def test_who_interrupts_is_next_ahead_of_those_who_wait(store: StoreScene) -> None:
    run = await at_work(store)
    await store.runs.submit(store.run("b"), on_busy=OnBusy.QUEUE)
    interrupting = await store.runs.submit(store.run("c"), on_busy=OnBusy.INTERRUPT)
    assert (interrupting.outcome, interrupting.behind) == (SubmitOutcome.QUEUED, "a")
    ended = await store.runs.finish(run, end_of("a", RunStatus.CANCELLED))
    assert ended is not None
    assert ended.next_run_id == "c"


async def test_who_is_interrupted_hears_of_it_even_if_nobody_rings(store: StoreScene) -> None:
    run = await at_work(store)
    await store.runs.submit(store.run("b"), on_busy=OnBusy.QUEUE)
    assert (await store.runs.get("t", "a")).cancel_requested_at is None
    await store.runs.submit(store.run("c"), on_busy=OnBusy.INTERRUPT)
    assert await store.leases.renew([run], lease_seconds=5) == [RenewalOutcome.CANCEL_ASKED]
    assert (await store.runs.get("t", "b")).cancel_requested_at is None


async def test_taking_renews_every_life_and_rings(store: StoreScene) -> None:
    run = await at_work(store)
    await store.runs.append(run, RunWrite(1, events=[b"x"], messages=[ChatMessage(role=Role.USER, content="x")]))
    await store.grow_old()
    await say(store, "b")
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
