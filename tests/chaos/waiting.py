"""Waiting for processes: no event comes from another one, so it is asked again and again, within a limit."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final

from redis.asyncio import Redis

from shared.keys import MODEM_INDEX

_READY_SECONDS: Final = 60.0
_POLL_SECONDS: Final = 0.05


async def until(condition: Callable[[], bool]) -> None:
    """Return once the condition holds. Raises TimeoutError."""
    async with asyncio.timeout(_READY_SECONDS):
        while not condition():  # noqa: ASYNC110 - no event comes from another process
            await asyncio.sleep(_POLL_SECONDS)


async def until_async(condition: Callable[[], Awaitable[bool]]) -> None:
    """Return once the condition, which asks somebody, holds. Raises TimeoutError."""
    async with asyncio.timeout(_READY_SECONDS):
        while not await condition():  # noqa: ASYNC110 - no event comes from another process
            await asyncio.sleep(_POLL_SECONDS)


async def until_it_takes_jobs(redis_url: str, pid: int) -> None:
    """Return once the modem with this process id has reported itself alive. Raises TimeoutError."""
    async with Redis.from_url(redis_url, decode_responses=True) as redis:
        await until_async(partial(_takes_jobs, redis, pid))


async def _takes_jobs(redis: Any, pid: int) -> bool:
    return any(f":{pid}:" in worker for worker in await redis.zrange(MODEM_INDEX, 0, -1))
