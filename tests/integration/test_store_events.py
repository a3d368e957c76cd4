"""Reading event streams, and which workers are alive."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from shared.contract.event import StreamEntry
from shared.errors import StoreUnavailableError
from shared.keys import MODEM_INDEX
from shared.store.redis.connection import Connection
from shared.store.workers import WorkerStore
from tests.integration.redis_process import RedisProcess
from tests.integration.store_scene import StoreScene, open_store


@pytest.fixture
async def store(redis_url: str) -> AsyncIterator[StoreScene]:
    async with open_store(redis_url) as scene:
        yield scene


async def fill(store: StoreScene, stream: str, *ids: str) -> None:
    for entry_id in ids:
        await store.redis.xadd(stream, {"event": "e", "data": entry_id, "run_id": "r"}, id=entry_id)


async def test_pages_begin_after_an_id_and_follow_each_other(store: StoreScene) -> None:
    await fill(store, "s", "1-0", "1-1", "2-0", "10-0")
    assert [e.id for e in await store.events.page("s", after="0-0", limit=2)] == ["1-0", "1-1"]
    assert [e.id for e in await store.events.page("s", after="1-1", limit=9)] == ["2-0", "10-0"]
    assert await store.events.page("s", after="10-0", limit=9) == []
    assert await store.events.page("nowhere", after="0-0", limit=9) == []


async def test_a_page_has_the_oldest_id_that_is_kept(store: StoreScene) -> None:
    await fill(store, "s", "1-0", "2-0", "3-0")
    await store.redis.xtrim("s", minid="2-0", approximate=False)
    page = await store.events.page_with_first("s", after="0-5", limit=1)
    assert ([e.id for e in page.entries], page.first_id) == (["2-0"], "2-0")
    assert await store.events.first_id("s") == "2-0"
    assert await store.events.last_id("s") == "3-0"
    empty = await store.events.page_with_first("nowhere", after="0-0", limit=1)
    assert (list(empty.entries), empty.first_id) == ([], None)
    assert (await store.events.first_id("nowhere"), await store.events.last_id("nowhere")) == (None, "0-0")


async def test_new_entries_of_many_streams_are_read_in_one_call_without_waiting(store: StoreScene) -> None:
    await fill(store, "a", "1-0", "2-0", "3-0")
    await fill(store, "b", "5-0")
    found = await store.events.read_after({"a": "1-0", "b": "5-0", "nowhere": "0-0"}, limit=1)
    assert {name: [e.id for e in entries] for name, entries in found.items()} == {"a": ["2-0"]}
    assert await store.events.read_after({"b": "5-0"}, limit=1) == {}


async def test_data_is_returned_unchanged(store: StoreScene) -> None:
    await store.redis.xadd("s", {"event": "e", "data": b"\xff\x00", "run_id": "r", "final": "1"}, id="1-0")
    await store.redis.xadd("s", {"other": "x"}, id="2-0")
    assert await store.events.page("s", after="0-0", limit=9) == [
        StreamEntry("1-0", "e", b"\xff\x00", "r", True), StreamEntry("2-0", "", b"", "", False),
    ]  # fmt: skip


async def test_a_worker_counts_as_alive_until_it_leaves_or_misses_its_heartbeat(store: StoreScene) -> None:
    workers = WorkerStore(Connection(store.redis))
    await workers.report_alive("a", lifetime_seconds=100)
    await workers.report_alive("b", lifetime_seconds=100)
    assert await workers.count_alive() == 2
    assert 0 < await store.redis.ttl(MODEM_INDEX) <= 101
    await workers.report_gone("a")
    assert await workers.count_alive() == 1
    await workers.report_alive("b", lifetime_seconds=0.001)
    async with asyncio.timeout(5):
        while await workers.count_alive():
            pass


async def test_a_store_without_redis_raises_store_unavailable() -> None:
    process = RedisProcess()  # never started: nothing listens on its port
    with pytest.raises(StoreUnavailableError):
        async with open_store(process.url):
            pass


async def test_reading_goes_on_after_the_connection_was_closed(store: StoreScene) -> None:
    await fill(store, "a", "1-0")
    assert list(await store.events.read_after({"a": "0-0"}, limit=9)) == ["a"]
    await store.redis.client_kill_filter(_type="normal", skipme=True)
    assert list(await store.events.read_after({"a": "0-0"}, limit=9)) == ["a"]


async def test_a_cancelled_read_leaves_no_answer_for_the_next(store: StoreScene) -> None:
    await fill(store, "a", "1-0")
    await fill(store, "b", "2-0")
    given_up = asyncio.create_task(store.events.read_after({"a": "0-0"}, limit=9))
    await asyncio.sleep(0)
    given_up.cancel()
    await asyncio.wait([given_up])
    assert list(await store.events.read_after({"b": "0-0"}, limit=9)) == ["b"]
