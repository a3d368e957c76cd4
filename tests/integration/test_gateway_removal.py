"""Open streams of a removed thread: each ends at once with an error event, after everything that was written."""

import asyncio
import json
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from shared.errors import LeaseLostError
from tests.integration.conftest import StartGateway
from tests.integration.fake_worker import open_worker
from tests.integration.gateway_process import LIMIT_SECONDS, GatewayProcess, SseEvent

_GONE = {
    "error": "The thread was removed or has expired: nothing more can come.",
    "error_type": "deleted",
    "status": 410,
}


async def _follow(gateway: GatewayProcess, path: str, got: list[SseEvent], has_begun: asyncio.Event) -> None:
    async with gateway.stream(path) as events:
        async for event in events:
            got.append(event)
            if event.event == "task_agent_execute":
                has_begun.set()


async def _rest_of(socket: ClientConnection) -> tuple[list[dict[str, Any]], int | None]:
    """Return what comes until the gateway closes, and the code of the close."""
    received: list[dict[str, Any]] = []
    try:
        while True:
            received.append(json.loads(await socket.recv()))
    except ConnectionClosed as closed:
        return received, None if closed.rcvd is None else closed.rcvd.code


async def test_every_kind_of_stream_ends_when_its_thread_is_deleted(
    start_gateway: StartGateway, redis_url: str
) -> None:
    gateway = await start_gateway(redis_url)
    thread_id, other_id = await gateway.new_thread(), await gateway.new_thread()
    run_id = await gateway.execute(thread_id)
    streams = [f"/api/agent/{thread_id}/stream", f"/api/agent/{thread_id}/runs/{run_id}/stream"]
    logs: list[list[SseEvent]] = [[] for _ in streams]
    begun = [asyncio.Event() for _ in streams]
    url = gateway.url.replace("http://", "ws://") + f"/ws/agent/{thread_id}"
    async with (
        asyncio.timeout(3 * LIMIT_SECONDS),
        open_worker(redis_url) as worker,
        connect(url, proxy=None) as socket,
        gateway.stream(f"/api/agent/{other_id}/stream") as others,
        asyncio.TaskGroup() as tasks,
    ):
        assert (await anext(others)).event == "waiting"
        for path, got, has_begun in zip(streams, logs, begun, strict=True):
            tasks.create_task(_follow(gateway, path, got, has_begun))
        run = await worker.claim(thread_id, run_id)
        await worker.write(run, "written before")
        for has_begun in begun:
            await has_begun.wait()
        assert (await gateway.http.delete(f"/api/agent/{thread_id}")).status_code == 204
        received, code = await _rest_of(socket)
        with pytest.raises(LeaseLostError):
            await worker.write(run, "written afterwards")
    for got in logs:
        assert (got[-1].event, got[-1].data, got[-1].id) == ("error", _GONE, None)
    assert [item["event"] for item in received[-2:]] == ["task_agent_execute", "error"]
    assert received[-1]["data"] == _GONE
    assert code == 4410


async def test_a_legacy_stream_ends_with_its_flow_and_an_expired_thread_ends_like_a_deleted_one(
    start_gateway: StartGateway, redis_url: str
) -> None:
    gateway = await start_gateway(redis_url)
    thread_id = await gateway.new_thread()
    async with (
        asyncio.timeout(3 * LIMIT_SECONDS),
        open_worker(redis_url) as worker,
        gateway.stream("/agent/event-stream", flowUuid="flow", flowInputUuid="input") as legacy,
        gateway.stream(f"/api/agent/{thread_id}/stream") as expiring,
    ):
        assert [(await anext(events)).event for events in (legacy, expiring)] == ["waiting"] * 2
        redis = worker.connection.redis
        await redis.xadd("stream:flow:input", {"event": "custom", "data": "1"})
        await redis.publish("thread:flow:bell", "")
        assert (await anext(legacy)).event == "custom"
        await redis.pexpire(worker.connection.keys(thread_id).metadata, 1)
        await redis.unlink("stream:flow:input")
        for events in (legacy, expiring):
            assert [event.data async for event in events] == [_GONE]
