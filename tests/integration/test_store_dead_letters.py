"""The list of dead letters: newest first, bounded, and nothing in it can make it unreadable."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from pydantic import SecretStr

from shared.config import RedisConfig
from shared.contract.dead_letter import DeadLetter
from shared.keys import DEAD_LETTERS
from shared.store import dead_letters
from shared.store.dead_letters import DeadLetterStore, dead_letter
from shared.store.redis.connection import Connection, open_redis


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Any]:
    client = open_redis(RedisConfig(url=SecretStr(redis_url)))
    yield client
    await client.aclose()


def letter(number: int) -> DeadLetter:
    return dead_letter(f"{number}".encode(), "no JSON", at="2026-01-01T00:00:00+00:00", worker="w", queue="celery")


async def test_the_newest_are_kept_and_one_can_be_removed(redis: Any) -> None:
    store = DeadLetterStore(Connection(redis))
    letters = [letter(number) for number in range(dead_letters.MAX_LETTERS + 3)]
    for each in letters:
        await store.put(each)
    kept = await store.list()
    assert kept == letters[:2:-1]
    assert await store.remove(kept[5]) is True
    assert await store.remove(kept[5]) is False
    assert await store.list() == [*kept[:5], *kept[6:]]


async def test_foreign_items_of_the_list_are_skipped(redis: Any) -> None:
    store = DeadLetterStore(Connection(redis))
    await store.put(letter(1))
    await redis.lpush(DEAD_LETTERS, "garbage")
    assert [each.message for each in await store.list()] == ["1"]
