"""Fixtures of every tier that needs a real Redis."""

import os
import shutil
import subprocess
from collections.abc import Iterator

import pytest
from testcontainers.community.redis import RedisContainer

from tests.integration.redis_process import RedisProcess


def _docker_answers() -> bool:
    program = shutil.which("docker")
    if program is None:
        return False
    try:
        return subprocess.run([program, "version"], capture_output=True, timeout=3, check=False).returncode == 0
    except subprocess.TimeoutExpired:
        return False


@pytest.fixture(scope="session")
def redis_server() -> Iterator[str]:
    """The URL of a Redis: BAUD_TEST_REDIS_URL, else a container, else a process."""
    given = os.environ.get("BAUD_TEST_REDIS_URL")
    if given:
        yield given
    elif _docker_answers():
        with RedisContainer("redis:7-alpine") as container:
            yield f"redis://{container.get_container_host_ip()}:{container.get_exposed_port(6379)}/0"
    else:
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
