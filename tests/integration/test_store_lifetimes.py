"""How long the keys of a thread last in Redis, and how long its log gets."""

from collections.abc import AsyncIterator

import pytest

from shared.contract.api import OnBusy
from shared.store.run_values import RunWrite
from tests.integration.run_scene import WRITE, submit
from tests.integration.store_scene import TTL, StoreScene, end_of, open_store

LEGACY = "stream:t:old"


@pytest.fixture
async def store(redis_url: str) -> AsyncIterator[StoreScene]:
    async with open_store(redis_url) as scene:
        yield scene


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


async def test_a_long_log_is_trimmed_to_about_its_length(redis_url: str) -> None:
    async with open_store(redis_url, max_length=200) as store:
        await submit(store, "a")
        run = (await store.claim("a")).run
        await store.runs.append(run, RunWrite(1, events=[b"x"] * 2000))
        assert 200 <= await store.redis.xlen(store.keys.stream) <= 400
