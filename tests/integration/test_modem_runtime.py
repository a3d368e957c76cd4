"""What a worker process holds open is opened, seen, and closed again."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from pydantic import SecretStr
from redis.asyncio import Redis

from modem.core.runtime import Runtime
from shared.contract.config import LLMConfig, ModemConfig, RedisConfig
from shared.keys import MODEM_INDEX
from shared.queue import make_celery
from shared.settings.model import Settings
from shared.store.connection import Connection, open_redis
from shared.store.workers import WorkerStore


def settings_for(redis_url: str, folder: Path, model: str = "offline") -> Settings:
    return Settings(
        data_dir=folder,
        redis=RedisConfig(url=SecretStr(redis_url)),
        llm=LLMConfig(model=model),
        modem=ModemConfig(renew_seconds=0.01),
    )


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    client = open_redis(RedisConfig(url=SecretStr(redis_url)))
    yield client
    await client.aclose()


async def until_alive(workers: WorkerStore) -> None:
    async with asyncio.timeout(20):
        while not await workers.count_alive():
            pass


async def test_a_worker_is_seen_while_it_is_open_and_leaves_nothing_behind(
    redis_url: str, redis: Redis, tmp_path: Path
) -> None:
    settings = settings_for(redis_url, tmp_path)
    workers = WorkerStore(Connection(redis))
    async with Runtime(settings, make_celery(settings.modem, settings.redis), {}):
        await until_alive(workers)
    assert await workers.count_alive() == 0
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_redis_that_may_lose_runs_is_named_when_a_worker_starts(
    redis_url: str, redis: Redis, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = settings_for(redis_url, tmp_path)
    workers = WorkerStore(Connection(redis))
    risks = await workers.find_risks()
    async with Runtime(settings, make_celery(settings.modem, settings.redis), {}):
        await until_alive(workers)
    assert risks
    assert all(risk in caplog.text for risk in risks)


async def test_a_background_task_that_breaks_is_heard_of_and_begins_again(
    redis_url: str, redis: Redis, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = settings_for(redis_url, tmp_path)
    workers = WorkerStore(Connection(redis))
    await Connection(redis).redis.set(MODEM_INDEX, "not a sorted set")
    async with Runtime(settings, make_celery(settings.modem, settings.redis), {}), asyncio.timeout(20):
        while "a background task of the worker failed and begins again: sign of life" not in caplog.text:
            await Connection(redis).redis.ping()
        await Connection(redis).redis.delete(MODEM_INDEX)
        await until_alive(workers)
