"""How a gateway stops: /ready fails first, clients lose nothing at another gateway, a hung Redis does not block it."""

import asyncio
from collections.abc import Iterator

import httpx
import pytest

from tests.integration.conftest import StartGateway
from tests.integration.fake_worker import open_worker
from tests.integration.gateway_process import GatewayProcess, SseEvent
from tests.integration.redis_process import RedisProcess

# Far above what all parts of a shutdown may take together.
_EXIT_SECONDS = 45.0


@pytest.fixture
def broker() -> Iterator[RedisProcess]:
    """A second Redis, for the jobs only."""
    process = RedisProcess()
    process.start()
    yield process
    process.stop()


async def _exit_status(gateway: GatewayProcess) -> int:
    return await gateway.wait(_EXIT_SECONDS)


async def test_a_stopping_gateway_is_not_ready_and_keeps_serving_for_the_delay(
    start_gateway: StartGateway, redis_url: str
) -> None:
    gateway = await start_gateway(redis_url, GATEWAY__SHUTDOWN_DELAY="3")
    thread_id = await gateway.new_thread()
    path = f"/api/agent/{thread_id}/stream"
    assert (await gateway.http.get("/ready")).status_code == 200
    async with gateway.stream(path) as events:
        assert (await anext(events)).event == "waiting"
        gateway.terminate()
        while (ready := await gateway.http.get("/ready")).status_code == 200:
            pass
        refused = await gateway.http.get(path)
        still_served = await gateway.http.get(f"/api/agent/{thread_id}")
        rest = [event async for event in events]
    assert (ready.status_code, ready.json()["code"]) == (503, "shutting_down")
    assert (refused.status_code, refused.json()["code"]) == (503, "shutting_down")
    assert "retry-after" in ready.headers
    assert "retry-after" in refused.headers
    assert still_served.status_code == 200
    assert [event.data["error_type"] for event in rest] == ["shutdown"]
    assert await _exit_status(gateway) == 0


async def _read_at_both(
    stopping: GatewayProcess, staying: GatewayProcess, path: str, together: asyncio.Barrier
) -> list[SseEvent]:
    """Read a run's stream at one gateway until it stops, and at another to the end."""
    async with stopping.stream(path) as events:
        assert (await anext(events)).event == "waiting"
        await together.wait()
        seen = [event async for event in events]
    await together.wait()
    last_id = next((event.id for event in reversed(seen) if event.id), "")
    async with staying.stream(path, last_id=last_id) as events:
        return seen + [event async for event in events]


async def test_clients_of_a_stopping_gateway_continue_at_another_and_miss_nothing(
    start_gateway: StartGateway, redis_url: str
) -> None:
    stopping, staying = await start_gateway(redis_url), await start_gateway(redis_url)
    thread_id = await stopping.new_thread()
    run_id = await stopping.execute(thread_id)
    path = f"/api/agent/{thread_id}/runs/{run_id}/stream"
    texts = [f"text {number}" for number in range(40)]
    together = asyncio.Barrier(9)
    async with open_worker(redis_url) as worker, asyncio.TaskGroup() as tasks:
        clients = [tasks.create_task(_read_at_both(stopping, staying, path, together)) for _ in range(8)]
        await together.wait()  # all have connected
        run = await worker.claim(thread_id, run_id)
        await worker.write(run, *texts[:20])
        stopping.terminate()
        await worker.write(run, *texts[20:30])
        await together.wait()  # all have been disconnected
        await worker.write(run, *texts[30:])
        await worker.finish(run)
    logs = [[event for event in client.result() if event.id] for client in clients]
    assert [event.data["execute_result"].get("assistant_response_result") for event in logs[0][:-1]] == texts
    assert all(log == logs[0] for log in logs)
    end_events = [event for client in clients for event in client.result() if event.event == "error"]
    assert [event.data["error_type"] for event in end_events] == ["shutdown"] * 8
    assert len({event.retry for event in end_events}) > 1, "all got the same retry time"
    assert all(100 <= int(event.retry or 0) < 1500 for event in end_events)
    assert await _exit_status(stopping) == 0


@pytest.mark.parametrize("is_dead", [False, True], ids=["hangs", "is gone"])
async def test_a_redis_that_does_not_answer_does_not_block_the_shutdown(
    start_gateway: StartGateway, own_redis: RedisProcess, broker: RedisProcess, is_dead: bool
) -> None:
    # The publishing threads would wait for the broker far longer than the test.
    gateway = await start_gateway(own_redis.url, MODEM__BROKER_URL=broker.url, GATEWAY__PUBLISH_TIMEOUT="600")
    thread_ids = [await gateway.new_thread() for _ in range(12)]
    await gateway.execute(thread_ids[0])  # over connections that will hang

    async def post(thread_id: str) -> int:
        try:
            response = await gateway.http.post(f"/api/agent/{thread_id}/execute", json={"task": "x"})
        except httpx.TransportError:
            return 0
        return response.status_code

    async with gateway.stream(f"/api/agent/{thread_ids[0]}/stream") as events:
        assert (await anext(events)).event == "waiting"
        broker.stop() if is_dead else broker.pause()
        async with asyncio.TaskGroup() as tasks:
            posts = [tasks.create_task(post(thread_id)) for thread_id in thread_ids[1:]]
            probe = await gateway.http.get("/ready")  # a check of the broker that hangs, too
            assert probe.json()["broker"] == "unavailable"
            own_redis.stop() if is_dead else own_redis.pause()
            gateway.terminate()
            assert [event.data["error_type"] async for event in events] == ["shutdown"]
            assert await _exit_status(gateway) == 0
    assert {task.result() for task in posts} <= {0, 503}
    # uvicorn logs the requests that it aborts.
    assert not [line for line in gateway.log if "Traceback" in line and "uvicorn.error" not in line]
