"""Fixtures that open sockets and start processes: Redis, and gateways of the tests' own."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import pytest
from redis import Redis

from tests.integration.gateway_process import GatewayProcess

StartGateway = Callable[..., Awaitable[GatewayProcess]]


@pytest.fixture
def redis_url(redis_server: str) -> str:
    """The URL of a Redis that is empty."""
    with Redis.from_url(redis_server) as redis:
        redis.flushdb()
    return redis_server


@pytest.fixture
async def start_gateway() -> AsyncIterator[StartGateway]:
    """Start gateways as a user does: `await start_gateway(redis_url, STREAM__IDLE_TIMEOUT="1")`."""
    async with AsyncExitStack() as stack:

        async def start(redis_url: str, **settings: str) -> GatewayProcess:
            gateway = GatewayProcess(redis_url, settings)
            stack.push_async_callback(gateway.stop)
            await gateway.start()
            return gateway

        yield start
