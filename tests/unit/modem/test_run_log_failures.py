"""The log of a run when writes fail or are slow: nothing is lost or written twice, and failures are raised."""

import asyncio

import pytest

from modem.service.run_log.run_log import StoreRunLog
from shared.contract.message import ChatMessage, Role
from shared.errors import LeaseLostError, StoreUnavailableError
from tests.fakes.fake_worker_run_store import FakeWorkerRunStore
from tests.unit.modem.log_scene import END, EVENTS, NEVER, RUN, STEP, delta, texts


async def test_a_write_that_failed_is_sent_again_with_the_same_sequence() -> None:
    store = FakeWorkerRunStore()
    store.failures = [StoreUnavailableError(), None]
    log = StoreRunLog(store, RUN, NEVER)
    await log.commit([EVENTS.response(STEP, "x")])
    assert [write.sequence for write in store.writes] == [1]
    await log.close()


@pytest.mark.parametrize("failure", [LeaseLostError(), ValueError("WRONGTYPE")], ids=["lease", "fault"])
async def test_a_failure_in_the_background_is_raised_at_the_next_call(failure: Exception) -> None:
    store = FakeWorkerRunStore()
    store.failures = [failure]
    log = StoreRunLog(store, RUN, NEVER)
    await log.emit(delta("a"))
    await asyncio.wait_for(store.asked.wait(), 5)
    await asyncio.sleep(0)
    for call in (log.emit(delta("b")), log.commit([EVENTS.response(STEP, "x")])):
        with pytest.raises(type(failure)):
            await call
    await log.close()
    assert store.writes == []


async def test_a_commit_that_waited_for_a_failing_write_is_not_written() -> None:
    store = FakeWorkerRunStore()
    store.gate, store.failures = asyncio.Event(), [ValueError("the write under way is lost")]
    log = StoreRunLog(store, RUN, NEVER)
    await log.emit(delta("a"))
    await asyncio.wait_for(store.asked.wait(), 5)
    commit = asyncio.create_task(log.commit([EVENTS.response(STEP, "a")]))
    await asyncio.sleep(0)
    store.gate.set()
    with pytest.raises(ValueError, match="under way"):
        await asyncio.wait_for(commit, 5)
    assert store.writes == []
    await log.close()


async def test_a_run_is_ended_though_an_earlier_write_failed() -> None:
    store = FakeWorkerRunStore()
    store.failures = [ValueError("WRONGTYPE")]
    log = StoreRunLog(store, RUN, NEVER)
    with pytest.raises(ValueError, match="WRONGTYPE"):
        await log.commit([EVENTS.response(STEP, "x")])
    await log.finish(END)
    assert store.ends == [END]


async def test_a_run_whose_lease_is_lost_is_not_ended() -> None:
    store = FakeWorkerRunStore()
    store.failures = [LeaseLostError()]
    log = StoreRunLog(store, RUN, NEVER)
    with pytest.raises(LeaseLostError):
        await log.commit([EVENTS.response(STEP, "x")])
    with pytest.raises(LeaseLostError):
        await log.finish(END)
    assert store.ends == []


async def test_a_flood_waits_for_redis() -> None:
    store = FakeWorkerRunStore()
    store.gate = asyncio.Event()
    log = StoreRunLog(store, RUN, NEVER)
    await log.emit(delta("a"))
    await asyncio.wait_for(store.asked.wait(), 5)
    flood = asyncio.create_task(log.emit(delta("b" * 2_000_000)))
    for _ in range(5):
        await asyncio.sleep(0)
    assert not flood.done()
    store.gate.set()
    await asyncio.wait_for(flood, 5)
    await log.close()


async def test_a_cancelled_writer_loses_no_text() -> None:
    store = FakeWorkerRunStore()
    store.gate = asyncio.Event()
    log = StoreRunLog(store, RUN, NEVER)
    flood = asyncio.create_task(log.emit(delta("b" * 2_000_000)))
    await asyncio.wait_for(store.asked.wait(), 5)
    flood.cancel()
    await asyncio.gather(flood, return_exceptions=True)
    store.gate.set()
    await log.commit([EVENTS.response(STEP, "x")])
    assert [len(text) for text in texts(store)] == [2_000_000, len("complete")]
    await log.close()


async def test_a_flood_goes_on_once_redis_has_taken_it() -> None:
    store = FakeWorkerRunStore()
    log = StoreRunLog(store, RUN, NEVER)
    for letter in "abc":
        await asyncio.wait_for(log.emit(delta(letter * 2_000_000)), 5)
    await asyncio.wait_for(log.commit([EVENTS.response(STEP, "x")]), 5)
    assert [len(text) for text in texts(store)] == [2_000_000] * 3 + [len("complete")]
    await log.close()


async def test_a_failure_is_raised_to_a_run_that_waits_for_room() -> None:
    store = FakeWorkerRunStore()
    store.failures = [LeaseLostError()]
    log = StoreRunLog(store, RUN, NEVER)
    await log.emit(delta("a"))
    await asyncio.wait_for(store.asked.wait(), 5)
    with pytest.raises(LeaseLostError):
        await asyncio.wait_for(log.emit(delta("a" * 2_000_000)), 5)
    await log.close()


async def test_closing_leaves_no_task_behind() -> None:
    store = FakeWorkerRunStore()
    store.gate = asyncio.Event()
    log = StoreRunLog(store, RUN, NEVER)
    await log.emit(delta("a"))
    await asyncio.wait_for(store.asked.wait(), 5)
    await log.close()
    await log.close()
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_steering_is_taken_again_with_the_same_nonce_after_a_failure() -> None:
    store = FakeWorkerRunStore()
    store.steering, store.steer_failures = [ChatMessage(role=Role.USER, content="milk")], [StoreUnavailableError()]
    log = StoreRunLog(store, RUN, NEVER)
    assert [message.text() for message in await log.take_steering()] == ["milk"]
    assert len(store.nonces) == 2
    assert len(set(store.nonces)) == 1
    assert await log.take_steering() == []
    assert len(set(store.nonces)) == 2
