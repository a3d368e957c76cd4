"""Leases on a real Redis: one owner at a time, and only the newest token writes."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from shared.contract.api import OnBusy
from shared.contract.run import RunJob, RunRecord, RunStatus
from shared.errors import LeaseLostError
from shared.ids import new_id
from shared.keys import OPEN_RUNS_INDEX
from shared.store.leases import OpenRun, RenewalOutcome
from shared.store.run_values import Claim, RunWrite
from tests.integration.store_scene import StoreScene, end_of, open_store

SHORT = 0.05


@pytest.fixture
async def store(redis_url: str) -> AsyncIterator[StoreScene]:
    async with open_store(redis_url) as opened:
        yield opened


def job(run_id: str) -> RunJob:
    return RunJob(thread_id="t", run_id=run_id)


async def submit(store: StoreScene, *run_ids: str) -> None:
    for run_id in run_ids:
        await store.runs.submit(store.run(run_id), on_busy=OnBusy.QUEUE)


async def claim(store: StoreScene, owner: str, *, lease_seconds: float = 60, run_id: str = "a") -> Claim | None:
    return await store.runs.claim("t", run_id, owner=owner, claim_id=new_id(), lease_seconds=lease_seconds)


async def owned(store: StoreScene, owner: str = "w1", *, lease_seconds: float = 60) -> RunRecord:
    found = await claim(store, owner, lease_seconds=lease_seconds)
    assert found is not None
    return found.run


async def until_expired(store: StoreScene, run_id: str = "a") -> None:
    async with asyncio.timeout(5):
        while (await inspect(store, run_id)).lease_left_seconds > 0:
            pass


async def inspect(store: StoreScene, run_id: str = "a") -> OpenRun:
    (found,) = await store.leases.inspect([job(run_id)])
    assert isinstance(found, OpenRun)
    return found


async def milliseconds(store: StoreScene) -> int:
    """Return the time by the clock of Redis."""
    seconds, microseconds = await store.redis.time()
    return int(seconds) * 1000 + int(microseconds) // 1000


async def lost(store: StoreScene, *run_ids: str) -> RunRecord:
    """Return the record of an owner that another worker has replaced."""
    await submit(store, "a", *run_ids)
    old = await owned(store, "old", lease_seconds=SHORT)
    await until_expired(store)
    await owned(store, "new")
    return old


async def test_a_held_lease_refuses_other_claims(store: StoreScene) -> None:
    await submit(store, "a")
    run = await owned(store)
    assert (run.attempts, run.crashes, run.owner) == (1, 0, "w1")
    assert await claim(store, "w2") is None
    assert 0 < (await inspect(store)).lease_left_seconds <= 60


async def test_a_claim_that_a_fail_over_forgot_has_no_token_in_common_with_the_next(store: StoreScene) -> None:
    await submit(store, "a")
    before = await store.redis.dump(store.keys.run("a"))
    forgotten = await owned(store)
    await store.redis.restore(store.keys.run("a"), 0, before, replace=True)
    async with asyncio.timeout(5):
        while await milliseconds(store) <= forgotten.token:
            pass
    run = await owned(store, "w2")
    with pytest.raises(LeaseLostError):
        await store.runs.append(forgotten, RunWrite(1, events=[b"late"]))
    await store.runs.append(run, RunWrite(1, events=[b"in time"]))


async def test_a_lease_that_ran_out_is_claimed_with_a_higher_token_and_counts_a_crash(store: StoreScene) -> None:
    await submit(store, "a")
    first = await owned(store, lease_seconds=SHORT)
    await until_expired(store)
    second = await owned(store, "w2")
    assert second.token > first.token
    assert (second.attempts, second.crashes, second.owner, second.status) == (2, 1, "w2", RunStatus.PROCESSING)
    assert (first.after_crash, second.after_crash) == (False, True)
    assert second.started_at == first.started_at


async def test_a_claim_repeated_after_its_lease_has_a_full_lease(store: StoreScene) -> None:
    await submit(store, "a")
    assert await store.runs.claim("t", "a", owner="w", claim_id="same", lease_seconds=SHORT) is not None
    await until_expired(store)
    again = await store.runs.claim("t", "a", owner="w", claim_id="same", lease_seconds=60)
    assert again is not None
    assert (again.run.attempts, again.run.crashes) == (1, 0)
    assert await claim(store, "w2") is None


async def test_of_many_workers_one_takes_a_lease_that_ran_out(store: StoreScene) -> None:
    await submit(store, "a")
    await owned(store, lease_seconds=SHORT)
    await until_expired(store)
    claims = await asyncio.gather(*(claim(store, f"w{number}") for number in range(8)))
    assert sum(found is not None for found in claims) == 1


async def _append(store: StoreScene, old: RunRecord) -> None:
    await store.runs.append(old, RunWrite(1, events=[b"late"]))


async def _finish(store: StoreScene, old: RunRecord) -> object:
    return await store.runs.finish(old, end_of("a"))


@pytest.mark.parametrize("write", [_append, _finish])
async def test_a_worker_that_was_replaced_writes_nothing(
    store: StoreScene, write: Callable[[StoreScene, RunRecord], Awaitable[object]]
) -> None:
    old = await lost(store)
    before = await store.everything()
    with pytest.raises(LeaseLostError):
        await write(store, old)
    assert await store.everything() == before


async def test_a_worker_that_was_replaced_neither_renews_nor_releases(store: StoreScene) -> None:
    old = await lost(store)
    before = await store.everything()
    assert await store.leases.renew([old], lease_seconds=1) == [RenewalOutcome.LOST]
    assert await store.leases.release(old) is False
    assert await store.everything() == before


async def test_a_renewed_lease_holds_longer_and_changes_nothing_else(store: StoreScene) -> None:
    await submit(store, "a")
    run = await owned(store, lease_seconds=1)
    assert await store.leases.renew([run], lease_seconds=60) == [RenewalOutcome.HELD]
    assert (await inspect(store)).lease_left_seconds > 30
    assert await store.leases.renew([], lease_seconds=60) == []


async def test_a_lease_that_ran_out_is_renewed_as_long_as_nobody_took_it(store: StoreScene) -> None:
    await submit(store, "a")
    run = await owned(store, lease_seconds=SHORT)
    await until_expired(store)
    assert await store.leases.renew([run], lease_seconds=60) == [RenewalOutcome.HELD]
    assert await claim(store, "w2") is None


async def test_one_lost_run_fails_no_other_renewal(store: StoreScene) -> None:
    old = await lost(store)
    await store.threads.create("t2")
    other = store.run("b").model_copy(update={"thread_id": "t2"})
    await store.runs.submit(other, on_busy=OnBusy.QUEUE)
    found = await store.runs.claim("t2", "b", owner="w", claim_id="b", lease_seconds=60)
    assert found is not None
    assert await store.leases.renew([old, found.run, old], lease_seconds=60) == [
        RenewalOutcome.LOST, RenewalOutcome.HELD, RenewalOutcome.LOST,
    ]  # fmt: skip


async def test_a_released_run_is_claimed_at_once_and_counts_no_crash(store: StoreScene) -> None:
    await submit(store, "a")
    run = await owned(store)
    assert await store.leases.release(run) is True
    given_back = await store.runs.get("t", "a")
    assert (given_back.status, given_back.owner) == (RunStatus.PROCESSING, None)
    again = await owned(store, "w2")
    assert (again.attempts, again.crashes, again.after_crash) == (2, 0, False)
    assert again.token > run.token


async def test_a_renewal_that_comes_after_the_release_does_not_take_the_run_again(store: StoreScene) -> None:
    await submit(store, "a")
    run = await owned(store)
    await store.leases.release(run)
    assert await store.leases.renew([run], lease_seconds=60) == [RenewalOutcome.LOST]
    assert await claim(store, "w2") is not None


async def test_a_crash_after_a_hand_over_counts_again(store: StoreScene) -> None:
    await submit(store, "a")
    await store.leases.release(await owned(store))
    await owned(store, "w2", lease_seconds=SHORT)
    await until_expired(store)
    assert (await owned(store, "w3")).crashes == 1


async def test_crashes_add_up_until_an_attempt_has_lasted(store: StoreScene) -> None:
    await submit(store, "a")
    for crashes in range(3):
        run = await owned(store, lease_seconds=SHORT)
        assert run.crashes == crashes
        await until_expired(store)
    await store.leases.renew([run], lease_seconds=SHORT, lasted=frozenset({"another"}))
    assert (await store.runs.get("t", "a")).crashes == 2
    await store.leases.renew([run], lease_seconds=SHORT, lasted=frozenset({"a"}))
    assert (await store.runs.get("t", "a")).crashes == 0
    await until_expired(store)
    assert (await owned(store)).crashes == 1


async def test_a_run_is_taken_by_one_reaper_and_not_again_before_it_is_due(store: StoreScene) -> None:
    jobs = [job(f"r{number}") for number in range(30)]
    for each in jobs:
        await store.leases.schedule_check(each, due_in_seconds=0)
    taken = await asyncio.gather(*(store.leases.take_due(limit=7, hold_seconds=60) for _ in range(6)))
    seen = [each.run_id for batch in taken for each in batch]
    assert sorted(seen) == sorted(each.run_id for each in jobs)
    assert max(len(batch) for batch in taken) == 7
    assert await store.leases.take_due(limit=100, hold_seconds=60) == []


async def test_a_run_that_was_taken_is_due_again_after_the_hold(store: StoreScene) -> None:
    await store.leases.schedule_check(job("a"), due_in_seconds=0)
    assert await store.leases.take_due(limit=1, hold_seconds=SHORT) == [job("a")]
    async with asyncio.timeout(5):
        while not (again := await store.leases.take_due(limit=1, hold_seconds=60)):
            pass
    assert again == [job("a")]


async def test_a_scheduled_run_is_not_due_early_and_a_forgotten_one_never(store: StoreScene) -> None:
    await store.leases.schedule_check(job("later"), due_in_seconds=60)
    await store.leases.schedule_check(job("gone"), due_in_seconds=0)
    await store.leases.forget(job("gone"))
    assert await store.leases.take_due(limit=10, hold_seconds=60) == []
    assert await store.redis.zrange(OPEN_RUNS_INDEX, 0, -1) == [b"t later"]


async def test_every_submitted_run_has_a_scheduled_check(store: StoreScene) -> None:
    await submit(store, "a", "b")
    assert await store.redis.zrange(OPEN_RUNS_INDEX, 0, -1) == [b"t a", b"t b"]


async def test_a_thread_id_with_blanks_is_read_back_unchanged(store: StoreScene) -> None:
    odd = RunJob(thread_id="a thread of old", run_id="r")
    await store.leases.schedule_check(odd, due_in_seconds=0)
    assert await store.leases.take_due(limit=1, hold_seconds=1) == [odd]


async def test_inspect_returns_the_state_of_each_run(store: StoreScene) -> None:
    await submit(store, "a", "b")
    waits, unknown = await store.leases.inspect([job("b"), job("unknown")])
    assert isinstance(waits, OpenRun)
    assert (waits.status, waits.is_active, unknown) == (RunStatus.PENDING, False, None)
    assert (await inspect(store)).is_active
    run = await owned(store)
    assert ((await inspect(store)).status, (await inspect(store)).lease_left_seconds > 0) == (
        RunStatus.PROCESSING,
        True,
    )
    await store.leases.release(run)
    assert (await inspect(store)).lease_left_seconds <= 0
    await store.runs.finish((await owned(store)), end_of("a"))
    assert await store.leases.inspect([job("a")]) == [None]
    assert await store.leases.inspect([]) == []


async def test_leases_leave_everything_with_a_time_to_live(store: StoreScene) -> None:
    run = await lost(store, "b")
    await store.leases.renew([run], lease_seconds=1)
    assert all(left > 0 for left in (await store.lifetimes()).values()), await store.lifetimes()


ODD_IDS = [("flow", "input one"), ("flow one", "input"), ("a b", "c d"), ('["x","y"', "z"), ("[", '"')]


@pytest.mark.parametrize(("thread_id", "run_id"), [*ODD_IDS, ("flow", "input")])
async def test_a_run_with_odd_ids_is_checked_under_its_own_ids(store: StoreScene, thread_id: str, run_id: str) -> None:
    job = RunJob(thread_id=thread_id, run_id=run_id)
    await store.leases.schedule_check(job, due_in_seconds=0)
    assert await store.leases.take_due(limit=9, hold_seconds=60) == [job]
    await store.leases.forget(job)
    assert await store.redis.zcard(OPEN_RUNS_INDEX) == 0


async def test_an_index_member_of_an_earlier_version_is_found_and_forgotten(store: StoreScene) -> None:
    await store.redis.zadd(OPEN_RUNS_INDEX, {"flow input": 0, "flow input one": 0})
    due = await store.leases.take_due(limit=9, hold_seconds=60)
    assert RunJob(thread_id="flow", run_id="input") in due
    for found in due:
        await store.leases.forget(found)
    assert await store.redis.zcard(OPEN_RUNS_INDEX) == 0, "an ambiguous member does not come back for ever"
