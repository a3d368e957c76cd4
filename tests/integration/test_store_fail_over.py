"""The store behind Sentinels: it finds the master, leaves a demoted one, and waits for the next."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from redis import Redis as SyncRedis

from shared.config import RedisConfig
from shared.errors import StoreUnavailableError
from shared.keys import IDLE_CHANNEL
from shared.store.redis.connection import Connection, open_redis
from shared.store.redis.notifications import Subscription
from shared.store.threads import ThreadStore
from tests.integration.redis_process import RedisProcess, free_port
from tests.integration.sentinel_group import SentinelGroup

_LIMIT_SECONDS = 30.0


@pytest.fixture
def group(tmp_path: Path) -> Iterator[SentinelGroup]:
    with SentinelGroup(tmp_path) as started:
        yield started


def config(url: str, **members: object) -> RedisConfig:
    return RedisConfig.model_validate({"url": url, "command_timeout": 1.0, "connect_timeout": 1.0, **members})


@pytest.fixture
async def connection(group: SentinelGroup) -> AsyncIterator[Connection]:
    redis = open_redis(config(group.url, max_connections=4))
    yield Connection(redis)
    await redis.aclose()


async def create_thread(threads: ThreadStore, thread_id: str) -> None:
    """Create a thread as soon as Redis takes it."""
    async with asyncio.timeout(_LIMIT_SECONDS):
        while True:
            with suppress(StoreUnavailableError):
                await threads.create(thread_id)
                return


async def test_writes_go_to_the_new_master_after_the_old_one_dies(group: SentinelGroup, connection: Connection) -> None:
    threads = ThreadStore(connection, ttl_seconds=600)
    await asyncio.gather(*(threads.create(f"before-{number}") for number in range(20)))
    old = group.master()
    group.kill_master()
    await create_thread(threads, "after")
    assert group.wait_for_other_master(old).port != old.port
    assert group.redis.exists("thread:after:metadata", "thread:before-7:metadata") == 2
    assert (await threads.get("before-7")).thread_id == "before-7"


async def _receive_for_ever(subscription: Subscription) -> None:
    while True:
        await subscription.received()


async def test_a_subscription_follows_the_master(group: SentinelGroup, connection: Connection) -> None:
    async with connection.thread_notifications().open() as subscription:
        await subscription.watch(["channel"])
        old = group.master()
        group.kill_master()
        group.wait_for_other_master(old)
        with pytest.raises(StoreUnavailableError):
            await asyncio.wait_for(_receive_for_ever(subscription), _LIMIT_SECONDS)
    async with asyncio.timeout(_LIMIT_SECONDS), connection.thread_notifications().open() as subscription:
        await subscription.watch(["channel"])
        received: set[str] = set()
        while received != {IDLE_CHANNEL, "channel"}:
            received.update(await subscription.received())
        group.redis.publish("channel", "")
        assert list(await subscription.received()) == ["channel"]


async def test_a_demoted_server_is_left_and_asked_anew(own_redis: RedisProcess) -> None:
    redis = open_redis(config(own_redis.url), retries=0)
    threads = ThreadStore(Connection(redis), ttl_seconds=600)
    await threads.create("before")
    before = await redis.client_id()
    with SyncRedis.from_url(own_redis.url) as operator:
        operator.replicaof("127.0.0.1", str(free_port()))
        with pytest.raises(StoreUnavailableError):
            await threads.create("meanwhile")
        operator.replicaof("NO", "ONE")
    await threads.create("after")
    assert await redis.client_id() != before
    await redis.aclose()


@pytest.mark.parametrize(
    "setting", [("maxmemory", "1"), ("min-replicas-to-write", "1")], ids=["memory full", "too few replicas"]
)
async def test_a_master_that_refuses_to_write_is_unavailable(own_redis: RedisProcess, setting: tuple[str, str]) -> None:
    redis = open_redis(config(own_redis.url), retries=0)
    threads = ThreadStore(Connection(redis), ttl_seconds=600)
    await threads.create("before")
    with SyncRedis.from_url(own_redis.url) as operator:
        operator.config_set(*setting)
    with pytest.raises(StoreUnavailableError):
        await threads.create("after")
    await redis.aclose()
