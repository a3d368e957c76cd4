"""A write whose answer is lost is repeated by the client, and is done once."""

from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import pytest

from shared.contract.api import OnBusy
from shared.contract.run import RunStatus
from shared.store.run_values import RunWrite
from tests.chaos.faulty_proxy import FaultyProxy
from tests.integration.store_scene import StoreScene, end_of, open_store


@pytest.fixture
async def proxy(redis_url: str) -> AsyncIterator[FaultyProxy]:
    port = urlsplit(redis_url).port
    assert port is not None
    async with FaultyProxy(port) as proxy:
        yield proxy


@pytest.fixture
async def store(proxy: FaultyProxy) -> AsyncIterator[StoreScene]:
    async with open_store(f"redis://127.0.0.1:{proxy.port}/0") as scene:
        for run_id in "abc":
            await scene.runs.submit(scene.run(run_id), on_busy=OnBusy.QUEUE)
        # Once before, so that Redis has the scripts and the lost answer is not NOSCRIPT.
        run = (await scene.claim("a")).run
        await scene.runs.append(run, RunWrite(1, events=[b"first"]))
        await scene.runs.finish(run, end_of("a"))
        yield scene


async def test_the_end_of_a_run_whose_answer_is_lost_names_the_next_run_once(
    store: StoreScene, proxy: FaultyProxy
) -> None:
    run = (await store.claim("b")).run
    proxy.drop_response_to(b"EVALSHA")
    ended = await store.runs.finish(run, end_of("b"))
    assert proxy.has_dropped_response
    assert ended is not None
    assert ended.next_run_id == "c"
    assert await store.completions() == ["a", "b"]
    assert (await store.runs.get("t", "b")).status is RunStatus.COMPLETED


async def test_a_claim_whose_answer_is_lost_is_the_same_claim(store: StoreScene, proxy: FaultyProxy) -> None:
    proxy.drop_response_to(b"EVALSHA")
    claim = await store.claim("b")
    assert proxy.has_dropped_response
    assert (claim.run.attempts, claim.run.crashes) == (1, 0)
    assert claim.run == await store.runs.get("t", "b")


async def test_events_whose_answer_is_lost_are_in_the_log_once(store: StoreScene, proxy: FaultyProxy) -> None:
    run = (await store.claim("b")).run
    proxy.drop_response_to(b"EVALSHA")
    await store.runs.append(run, RunWrite(1, events=[b"second"]))
    assert proxy.has_dropped_response
    entries = await store.events.page(store.keys.stream, after="0-0", limit=100)
    assert [entry.data for entry in entries if entry.run_id == "b"] == [b"second"]


async def test_scripts_that_redis_has_forgotten_are_loaded_again(store: StoreScene) -> None:
    await store.redis.script_flush()
    run = (await store.claim("b")).run  # several scripts in one round trip
    await store.redis.script_flush()
    await store.runs.append(run, RunWrite(1, events=[b"second"]))  # one script alone
    entries = await store.events.page(store.keys.stream, after="0-0", limit=100)
    assert [entry.data for entry in entries if entry.run_id == "b"] == [b"second"]
