"""Legacy messages: events of their runs are on two streams under the same ids; else they run like any other."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from modem.service.execute_run import RunServices
from modem.service.lease.active_runs import ActiveRuns
from modem.service.legacy import accept_flow
from modem.type.flow_type import ProcessFlowDataRequest
from shared.contract.api import OnBusy
from shared.contract.run import RunStatus
from shared.keys import ThreadKeys
from shared.store.run_values import RunWrite
from tests.fakes.fake_worker_run_store import FakeWorkerRunStore
from tests.fakes.scripted_model import says
from tests.integration.store_scene import StoreScene, end_of, open_store
from tests.unit.modem.test_execute_run import FakeEngineBuilder, FakePublisher, services_with

LEGACY = "stream:t:a"


@pytest.fixture
async def store(redis_url: str) -> AsyncIterator[StoreScene]:
    async with open_store(redis_url) as scene:
        yield scene


def services(store: StoreScene, *texts: str) -> RunServices:
    engines = FakeEngineBuilder([says(text) for text in texts])
    made = services_with(FakeWorkerRunStore(), ActiveRuns(), engines, FakePublisher())
    return replace(made, runs=store.runs, clock=store.clock)


def message(flow: str, number: str, task: str = "make tea", **members: str) -> ProcessFlowDataRequest:
    named = {"flow_uuid": flow, "flow_input_uuid": number, **members}
    return ProcessFlowDataRequest.model_validate({**named, "context_data": [{"type": "text", "content": task}]})


async def test_a_legacy_runs_events_are_on_both_streams_under_the_same_ids(store: StoreScene) -> None:
    ahead = "9999999999999-7"  # the ids of the thread's stream run ahead of the clock
    await store.redis.xadd(store.keys.stream, {"event": "e", "data": "d", "run_id": "before"}, id=ahead)
    await store.runs.submit(store.run("a", legacy_stream=LEGACY), on_busy=OnBusy.QUEUE)
    run = (await store.claim("a")).run
    await store.runs.append(run, RunWrite(1, events=[b"x", b"y"]))
    assert (await store.lifetimes())[LEGACY] > 0
    await store.redis.persist(LEGACY)
    await store.runs.finish(run, end_of("a"))
    log = await store.events.page(store.keys.stream, after="0-0", limit=10)
    legacy = await store.events.page(LEGACY, after="0-0", limit=10)
    assert legacy == log[1:]
    assert len(legacy) == 3
    assert (await store.lifetimes())[LEGACY] > 0


async def test_a_legacy_message_creates_its_thread_and_executes_its_run(store: StoreScene) -> None:
    await accept_flow(message("flow", "one"), services(store, "Tea."), store.threads)
    run = await store.runs.find("one")
    assert (run.status, run.task) == (RunStatus.COMPLETED, "make tea")
    assert await store.completions("stream:flow:one") == ["one"]
    assert await store.completions("thread:flow:stream") == ["one"]


async def test_the_same_legacy_message_twice_runs_once(store: StoreScene) -> None:
    for _ in range(2):
        await accept_flow(message("flow", "one"), services(store, "Tea."), store.threads)
    assert await store.completions("stream:flow:one") == ["one"]
    assert (await store.runs.get("flow", "one")).attempts == 1


async def test_a_legacy_message_without_a_task_ends_with_one_completion(store: StoreScene) -> None:
    await accept_flow(message("flow", "one", task="  "), services(store), store.threads)
    run = await store.runs.get("flow", "one")
    assert run.status is RunStatus.FAILED
    assert "no task" in (run.message or "")
    assert await store.completions("stream:flow:one") == ["one"]


async def test_further_legacy_messages_of_a_flow_list_its_thread_once(store: StoreScene) -> None:
    for number in ("one", "two", "three"):
        store.clock.advance(1)
        await accept_flow(message("flow", number), services(store, "Tea."), store.threads)
    page = await store.threads.newest(cursor=None, limit=10)
    assert [thread.thread_id for thread in page.items] == ["flow", "t"]
    assert page.items[0].run_count == 3


async def test_readers_of_both_streams_are_notified_of_a_run_on_another_thread(store: StoreScene) -> None:
    async with store.redis.pubsub() as channels:
        await channels.subscribe(store.keys.channel, ThreadKeys("flow").channel)
        await accept_flow(message("flow", "one", thread_id="t"), services(store, "Tea."), store.threads)
        received: set[bytes] = set()
        async with asyncio.timeout(5):
            while len(received) < 2:
                notified = await channels.get_message(ignore_subscribe_messages=True, timeout=5)
                if notified is not None:
                    received.add(notified["channel"])
    assert await store.completions("stream:flow:one") == ["one"]
    assert await store.completions() == ["one"]


async def test_a_long_legacy_log_is_trimmed_like_its_threads(redis_url: str) -> None:
    async with open_store(redis_url, max_length=200) as store:
        await store.runs.submit(store.run("a", legacy_stream=LEGACY), on_busy=OnBusy.QUEUE)
        run = (await store.claim("a")).run
        await store.runs.append(run, RunWrite(1, events=[b"x"] * 2000))
        last = (await store.events.last_id(store.keys.stream), await store.events.last_id(LEGACY))
        assert 200 <= await store.redis.xlen(LEGACY) <= 400
        assert last[0] == last[1]
