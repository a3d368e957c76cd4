"""Makes many threads through the gateway's own route, on a few connections that stay open."""

import asyncio
from collections.abc import Sequence
from typing import Final

import httpx

_AT_ONCE: Final = 16


async def make_threads(url: str, count: int) -> Sequence[str]:
    """Return the ids of `count` new threads."""
    gate = asyncio.Semaphore(_AT_ONCE)
    limits = httpx.Limits(max_connections=_AT_ONCE)
    async with httpx.AsyncClient(base_url=url, limits=limits, trust_env=False) as http:

        async def one() -> str:
            async with gate:
                answer = await http.post("/api/agent/initiate", json={})
                answer.raise_for_status()
                thread_id: str = answer.json()["thread_id"]
                return thread_id

        return await asyncio.gather(*(one() for _ in range(count)))
