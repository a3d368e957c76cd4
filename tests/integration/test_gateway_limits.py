"""The limits of open streams, in all and per client, and that every way to end a stream releases its place."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus

from tests.integration.conftest import StartGateway
from tests.integration.fake_worker import open_worker
from tests.integration.gateway_process import LIMIT_SECONDS, GatewayProcess


def _socket(gateway: GatewayProcess, thread_id: str) -> connect:
    return connect(gateway.url.replace("http://", "ws://") + f"/ws/agent/{thread_id}", proxy=None)


async def _refusals(gateway: GatewayProcess, thread_id: str) -> list[tuple[int, str, bool]]:
    """Return status, code and whether there is a Retry-After, of each kind of stream."""
    found: list[tuple[int, str, bool]] = []
    for path in (f"/api/agent/{thread_id}/stream", "/agent/event-stream?flowUuid=a&flowInputUuid=b"):
        response = await gateway.http.get(path)
        found.append((response.status_code, response.json()["code"], "retry-after" in response.headers))
    with pytest.raises(InvalidStatus) as refused:
        async with _socket(gateway, thread_id):
            pass
    answer = refused.value.response
    found.append((answer.status_code, json.loads(answer.body or b"")["code"], "retry-after" in answer.headers))
    return found


@asynccontextmanager
async def _admitted(gateway: GatewayProcess, path: str) -> AsyncIterator[httpx.Response]:
    """Open a stream as soon as there is a place: the gateway notices a disconnect a moment later."""
    async with asyncio.timeout(LIMIT_SECONDS):
        while True:
            async with gateway.http.stream("GET", path) as response:
                if response.status_code == 200:
                    yield response
                    return
                assert response.status_code == 429


@asynccontextmanager
async def _admitted_socket(gateway: GatewayProcess, thread_id: str) -> AsyncIterator[ClientConnection]:
    async with asyncio.timeout(LIMIT_SECONDS):
        while True:
            try:
                async with _socket(gateway, thread_id) as socket:
                    yield socket
                    return
            except InvalidStatus as refused:
                if refused.response.status_code != 429:
                    raise


async def test_streams_of_every_kind_count_together_and_are_refused_with_429(
    start_gateway: StartGateway, redis_url: str
) -> None:
    gateway = await start_gateway(redis_url, GATEWAY__MAX_STREAMS="2")
    thread_id = await gateway.new_thread()
    async with gateway.stream(f"/api/agent/{thread_id}/stream") as events, _socket(gateway, thread_id) as socket:
        assert (await anext(events)).event == "waiting"
        assert json.loads(await socket.recv())["event"] == "waiting"
        assert await _refusals(gateway, thread_id) == [(429, "too_many_streams", True)] * 3
    async with _admitted(gateway, f"/api/agent/{thread_id}/stream"):
        pass


async def test_a_place_is_released_however_a_stream_ends(start_gateway: StartGateway, redis_url: str) -> None:
    gateway = await start_gateway(redis_url, GATEWAY__MAX_STREAMS="1", STREAM__SEND_TIMEOUT="0.5")
    thread_id = await gateway.new_thread()
    run_id = await gateway.execute(thread_id)
    path = f"/api/agent/{thread_id}/stream"
    async with _admitted(gateway, path):
        pass  # the client leaves at once
    async with _admitted_socket(gateway, thread_id) as socket:
        await socket.recv()
        socket.transport.abort()  # the client breaks off
    async with _admitted(gateway, path):
        pass
    async with open_worker(redis_url) as worker:
        await worker.do(thread_id, run_id, *("x" * 100_000 for _ in range(200)))
    async with _admitted(gateway, f"{path}?until=completion") as response:
        assert b"flow_completion" in await response.aread()  # the stream is over
    async with _admitted(gateway, path):
        pass
    async with _stalled(gateway, path), _admitted(gateway, path):
        pass  # the client was cut


@asynccontextmanager
async def _stalled(gateway: GatewayProcess, path: str) -> AsyncIterator[None]:
    """Hold the one place, as soon as it is free, without reading anything."""
    async with asyncio.timeout(LIMIT_SECONDS):
        while True:
            reader, writer = await asyncio.open_connection(*gateway.address, limit=1024)
            writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            if b"200" in await reader.readline():
                break
            writer.transport.abort()
    yield
    writer.transport.abort()


async def test_one_address_has_its_own_limit_and_a_trusted_proxy_names_it(
    start_gateway: StartGateway, redis_url: str
) -> None:
    limits: dict[str, Any] = {"GATEWAY__MAX_STREAMS_PER_CLIENT": "1"}
    open_gateway = await start_gateway(redis_url, **limits)
    proxied = await start_gateway(redis_url, **limits, GATEWAY__TRUSTED_PROXIES="127.0.0.0/8")
    thread_id = await proxied.new_thread()
    path = f"/api/agent/{thread_id}/stream"

    async def status(gateway: GatewayProcess, client: str) -> int:
        headers = {"X-Forwarded-For": client}
        async with gateway.http.stream("GET", path, headers=headers) as response:
            return httpx.codes(response.status_code)

    headers = {"X-Forwarded-For": "203.0.113.7"}
    async with proxied.http.stream("GET", path, headers=headers) as first:
        lines = first.aiter_lines()
        assert await anext(lines) == "retry: 3000"
        assert await status(proxied, "203.0.113.7") == 429
        assert await status(proxied, "203.0.113.8") == 200
    async with open_gateway.stream(path) as events:
        await anext(events)
        # A client that is not a trusted proxy cannot claim another address.
        assert await status(open_gateway, "203.0.113.8") == 429
