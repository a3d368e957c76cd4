"""Fixtures of every tier that needs a real Redis."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.integration.redis_process import RedisProcess


def pytest_configure() -> None:
    """Let examples take any time, as a busy machine may; lend programs that no wheel brings, where there are none."""
    settings.register_profile("no time limits", deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("no time limits")
    if shutil.which("setsid") is None:
        os.environ["PATH"] += f"{os.pathsep}{Path(__file__).parent / 'programs'}"


@pytest.fixture(scope="session")
def redis_server() -> Iterator[str]:
    """The URL of a Redis: the one that BAUD_TEST_REDIS_URL names, else a process."""
    given = os.environ.get("BAUD_TEST_REDIS_URL")
    if given:
        yield given
        return
    process = RedisProcess()
    process.start()
    try:
        yield process.url
    finally:
        process.stop()


@pytest.fixture
def own_redis() -> Iterator[RedisProcess]:
    """A Redis that the test may stop and pause."""
    process = RedisProcess()
    process.start()
    yield process
    process.stop()
