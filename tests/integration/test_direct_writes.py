"""A gateway writes live events straight to uvicorn's transport: the bytes are those that its tasks would send."""

import asyncio
from pathlib import Path

import httpx
import pytest
from redis.asyncio import Redis

from gateway.core.direct_writer import DirectWriter
from gateway.service.stream.types import Burst
from tests.integration.in_process_gateway import FLOW, serve_in_process, until

_EVENTS = 50
_STREAM, _CHANNEL = f"stream:{FLOW}:input", f"thread:{FLOW}:bell"


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether each burst that was offered to a transport was taken."""
    offered: list[bool] = []
    write = DirectWriter.write

    def noted(self: DirectWriter, burst: Burst) -> bool:
        offered.append(write(self, burst))
        return offered[-1]

    monkeypatch.setattr(DirectWriter, "write", noted)
    return offered


async def _append(redis: Redis, number: int) -> None:
    await redis.xadd(_STREAM, {"event": "custom", "data": f'{{"number":{number}}}', "run_id": "r", "type": "custom"})
    await redis.publish(_CHANNEL, "")


async def _read(response: httpx.Response, numbers: list[int]) -> None:
    async for line in response.aiter_lines():
        if line.startswith('data: {"number"'):
            numbers.append(int(line.partition(":")[2].partition(":")[2].rstrip("}")))
            if numbers[-1] == _EVENTS - 1:
                return


async def test_live_events_are_written_directly_once_and_in_order(
    redis_url: str, tmp_path: Path, written: list[bool]
) -> None:
    numbers: list[int] = []
    query = {"flowUuid": FLOW, "flowInputUuid": "input"}
    async with (
        serve_in_process(redis_url, tmp_path) as gateway,
        Redis.from_url(redis_url) as redis,
        httpx.AsyncClient(base_url=gateway.url) as client,
        client.stream("GET", "/agent/event-stream", params=query) as response,
    ):
        reading = asyncio.create_task(_read(response, numbers))
        for number in range(_EVENTS):
            await _append(redis, number)
            await until(lambda: numbers[-1:] == [number])  # noqa: B023 # called before the next turn
        await reading
    assert numbers == list(range(_EVENTS))
    assert written.count(True) > _EVENTS / 2, "uvicorn's transport is not written to directly any more"


async def test_a_client_of_http_1_0_is_served_by_its_task(redis_url: str, tmp_path: Path, written: list[bool]) -> None:
    async with (
        serve_in_process(redis_url, tmp_path) as gateway,
        Redis.from_url(redis_url) as redis,
        gateway.stream(version="1.0") as reader,
    ):
        await reader.readuntil(b"waiting")
        await _append(redis, 0)
        got = await reader.readuntil(b'{"number":0}\n\n')
    assert b"\r\n" not in got, "HTTP/1.0 knows no chunks"
    assert written == []
