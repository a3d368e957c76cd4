"""Warnings about settings of a real Redis that can lose data."""

from pathlib import Path

import pytest
from pydantic import SecretStr

from shared.config import RedisConfig
from shared.store.redis.connection import Connection, open_redis
from shared.store.workers import WorkerStore
from tests.integration.redis_process import RedisProcess


@pytest.mark.parametrize(("fsync", "is_named"), [("always", False), ("everysec", True), ("no", True)])
async def test_a_redis_that_answers_before_it_has_written_is_named(tmp_path: Path, fsync: str, is_named: bool) -> None:
    server = RedisProcess(folder=tmp_path, options=("--appendfsync", fsync))
    try:
        server.start()
        redis = open_redis(RedisConfig(url=SecretStr(server.url)))
        try:
            risks = await WorkerStore(Connection(redis)).find_risks()
        finally:
            await redis.aclose()
    finally:
        server.stop()
    assert [f"appendfsync {fsync}" in risk for risk in risks] == [True] * is_named
