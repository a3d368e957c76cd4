"""Event streams of a real gateway over a real Redis: nothing lost, nothing repeated, every way to close."""

import asyncio

import httpx

from shared.contract.api import OnBusy
from shared.contract.run import RunRecord
from tests.integration.conftest import StartGateway
from tests.integration.fake_worker import open_worker
from tests.integration.gateway_process import SseEvent

_TIME = "2026-01-01T00:00:00.000000+00:00"
_TEXTS = tuple(f"text {number}" for number in range(8))


def _business(events: list[SseEvent]) -> list[SseEvent]:
    return [event for event in events if event.event == "task_agent_execute"]


def _kinds(events: list[SseEvent]) -> list[str]:
    return [event.data["execute_type"] for event in _business(events)]


async def test_a_stream_opened_before_the_run_gets_every_event_live(
    start_gateway: StartGateway, redis_url: str
) -> None:
    gateway = await start_gateway(redis_url)
    thread_id = await gateway.new_thread()
    async with open_worker(redis_url) as worker, gateway.stream(f"/api/agent/{thread_id}/stream") as events:
        first = await anext(events)
        run_id = await gateway.execute(thread_id)
        await worker.do(thread_id, run_id, *_TEXTS)
        got = [await anext(events) for _ in range(len(_TEXTS) + 1)]
    assert first.event == "waiting"
    assert first.id is None
    assert [event.data["execute_result"].get("assistant_response_result") for event in got[:-1]] == list(_TEXTS)
    assert got[-1].data["execute_type"] == "flow_completion"


async def test_a_client_that_reconnects_after_every_event_gets_each_exactly_once(
    start_gateway: StartGateway, redis_url: str
) -> None:
    gateway = await start_gateway(redis_url)
    thread_id = await gateway.new_thread()
    run_id = await gateway.execute(thread_id)
    path = f"/api/agent/{thread_id}/runs/{run_id}/stream"
    async with open_worker(redis_url) as worker:
        run = await worker.claim(thread_id, run_id)
        seen: list[SseEvent] = []
        for text in _TEXTS:
            await worker.write(run, text, f"{text} again")
            for _ in range(2):
                async with gateway.stream(path, last_id=seen[-1].id or "" if seen else "") as events:
                    seen.append(await anext(events))
        await worker.finish(run)
        async with gateway.stream(path, last_id=seen[-1].id or "") as events:
            seen.extend([event async for event in events])
        async with gateway.stream(path) as events:
            complete = [event async for event in events]
    assert [event.id for event in seen] == [event.id for event in complete]
    assert len(complete) == 2 * len(_TEXTS) + 1


async def test_last_event_id_header_wins_over_the_query(start_gateway: StartGateway, redis_url: str) -> None:
    gateway = await start_gateway(redis_url)
    thread_id = await gateway.new_thread()
    run_id = await gateway.execute(thread_id)
    async with open_worker(redis_url) as worker:
        ended = await worker.do(thread_id, run_id, *_TEXTS)
    response = await gateway.http.get(
        f"/api/agent/{thread_id}/runs/{run_id}/stream",
        params={"last_id": "0-0"},
        headers={"Last-Event-ID": ended.completion_id},
    )
    assert response.status_code == 204


async def test_until_completion_closes_only_when_no_run_is_active(start_gateway: StartGateway, redis_url: str) -> None:
    gateway = await start_gateway(redis_url)
    thread_id = await gateway.new_thread()
    first, second = await gateway.execute(thread_id), await gateway.execute(thread_id)
    path = f"/api/agent/{thread_id}/stream"
    async with open_worker(redis_url) as worker, gateway.stream(path, until="completion") as events:
        ended = await worker.do(thread_id, first, "one")
        assert ended.next_run_id == second
        got = [await anext(events), await anext(events)]
        await worker.do(thread_id, second, "two")
        got += [event async for event in events]
    assert _kinds(got) == ["assistant_response", "flow_completion"] * 2


async def test_until_completion_of_an_idle_thread_replays_and_closes(
    start_gateway: StartGateway, redis_url: str
) -> None:
    gateway = await start_gateway(redis_url)
    thread_id = await gateway.new_thread()
    path = f"/api/agent/{thread_id}/stream"
    async with gateway.stream(path, until="completion") as events:
        assert [event.event async for event in events] == ["waiting"]
    run_id = await gateway.execute(thread_id)
    async with open_worker(redis_url) as worker:
        await worker.do(thread_id, run_id, *_TEXTS)
    async with gateway.stream(path, until="completion") as events:
        assert len([event async for event in events]) == len(_TEXTS) + 1


async def test_dollar_means_from_now_on(start_gateway: StartGateway, redis_url: str) -> None:
    gateway = await start_gateway(redis_url)
    thread_id = await gateway.new_thread()
    run_id = await gateway.execute(thread_id)
    async with open_worker(redis_url) as worker:
        run = await worker.claim(thread_id, run_id)
        await worker.write(run, "before")
        async with gateway.stream(f"/api/agent/{thread_id}/stream", last_id="$") as events:
            assert (await anext(events)).event == "waiting"
            await worker.write(run, "after")
            got = await anext(events)
    assert got.data["execute_result"] == {"assistant_response_result": "after"}


async def test_trimmed_entries_are_reported_by_a_gap_event(start_gateway: StartGateway, redis_url: str) -> None:
    gateway = await start_gateway(redis_url)
    thread_id = await gateway.new_thread()
    run_id = await gateway.execute(thread_id)
    async with open_worker(redis_url) as worker:
        await worker.do(thread_id, run_id, *_TEXTS)
        key = worker.connection.keys(thread_id).stream
        entries = await worker.connection.redis.xrange(key)
        await worker.connection.redis.xtrim(key, maxlen=3, approximate=False)
    requested, first = entries[1][0].decode(), entries[-3][0].decode()
    path = f"/api/agent/{thread_id}/stream"
    async with gateway.stream(path, until="completion", last_id=requested) as events:
        got = [event async for event in events]
    assert got[0] == SseEvent("gap", {"requested": requested, "first_available": first})
    assert [event.id for event in got[1:]] == [item[0].decode() for item in entries[-3:]]


async def test_an_idle_stream_gets_keep_alives_then_times_out(start_gateway: StartGateway, redis_url: str) -> None:
    gateway = await start_gateway(redis_url, STREAM__KEEP_ALIVE_INTERVAL="0.2", STREAM__IDLE_TIMEOUT="0.7")
    thread_id = await gateway.new_thread()
    async with gateway.stream(f"/api/agent/{thread_id}/stream") as events:
        got = [event async for event in events]
    assert [event.event for event in got[:3]] == ["waiting", "keep_alive", "keep_alive"]
    assert got[-1].event == "error"
    assert (got[-1].data["error_type"], got[-1].data["status"]) == ("timeout", 408)
    assert all(event.id is None for event in got)


async def test_an_active_run_keeps_a_silent_stream_open(start_gateway: StartGateway, redis_url: str) -> None:
    gateway = await start_gateway(
        redis_url, STREAM__KEEP_ALIVE_INTERVAL="0.1", STREAM__IDLE_TIMEOUT="0.3", STREAM__MAX_DURATION="1.2"
    )
    thread_id = await gateway.new_thread()
    await gateway.execute(thread_id)
    async with gateway.stream(f"/api/agent/{thread_id}/stream") as events:
        got = [event.event async for event in events]
    assert set(got) == {"waiting", "keep_alive"}


async def test_an_unusable_entry_becomes_an_error_event_and_the_stream_continues(
    start_gateway: StartGateway, redis_url: str
) -> None:
    gateway = await start_gateway(redis_url)
    async with open_worker(redis_url) as worker:
        redis = worker.connection.redis
        key = worker.connection.keys("flow").legacy_stream("input")
        await redis.xadd(key, {"nonsense": "1"})
        entry_id = await redis.xadd(key, {"event": "custom", "data": '{"a":\n1}'})
    query = {"flowUuid": "flow", "flowInputUuid": "input"}
    async with gateway.stream("/agent/event-stream", **query) as events:
        broken, usable = await anext(events), await anext(events)
    assert (broken.event, broken.data["error_type"], broken.id) == ("error", "bad_entry", None)
    assert usable == SseEvent("custom", {"a": 1}, entry_id.decode())


async def test_a_legacy_stream_opened_before_its_flow_gets_the_events_at_once(
    start_gateway: StartGateway, redis_url: str
) -> None:
    gateway = await start_gateway(redis_url)
    query = {"flowUuid": "flow", "flowInputUuid": "input"}
    async with open_worker(redis_url) as worker, gateway.stream("/agent/event-stream", **query) as events:
        assert (await anext(events)).event == "waiting"
        keys = worker.connection.keys("flow")
        await worker.connection.redis.xadd(keys.legacy_stream("input"), {"event": "e", "data": "1"})
        await worker.connection.redis.publish(keys.channel, "")
        assert (await anext(events)).event == "e"


async def test_an_append_without_a_notification_is_delivered(start_gateway: StartGateway, redis_url: str) -> None:
    gateway = await start_gateway(redis_url)
    thread_id = await gateway.new_thread()
    async with open_worker(redis_url) as worker, gateway.stream(f"/api/agent/{thread_id}/stream") as events:
        assert (await anext(events)).event == "waiting"
        for number in range(2):
            key = worker.connection.keys(thread_id).stream
            await worker.connection.redis.xadd(key, {"event": "e", "data": str(number)})
            assert (await anext(events)).data == number


async def test_sigterm_sends_shutdown_to_open_streams_and_ends_the_process(
    start_gateway: StartGateway, redis_url: str
) -> None:
    gateway = await start_gateway(redis_url)
    thread_id = await gateway.new_thread()
    async with gateway.stream(f"/api/agent/{thread_id}/stream") as events:
        assert (await anext(events)).event == "waiting"
        gateway.terminate()
        got = [event async for event in events]
    assert [event.data["error_type"] for event in got] == ["shutdown"]
    assert await gateway.wait() == 0
    assert not [line for line in gateway.log if "Traceback" in line or '"ERROR"' in line]


async def test_many_subscribers_to_one_run_all_get_the_complete_log(
    start_gateway: StartGateway, redis_url: str
) -> None:
    gateway = await start_gateway(redis_url)
    thread_id = await gateway.new_thread()
    run_id = await gateway.execute(thread_id)
    texts = [f"{number} " + "x" * 2000 for number in range(300)]

    async def follow() -> list[str | None]:
        async with gateway.stream(f"/api/agent/{thread_id}/runs/{run_id}/stream") as events:
            return [event.id async for event in events if event.id]

    async with open_worker(redis_url) as worker, asyncio.TaskGroup() as tasks:
        subscribers = [tasks.create_task(follow()) for _ in range(20)]
        await worker.do(thread_id, run_id, *texts)
    logs = [subscriber.result() for subscriber in subscribers]
    assert len(logs[0]) == len(texts) + 1
    assert all(log == logs[0] for log in logs)


async def test_a_client_that_stops_reading_misses_nothing_afterwards(
    start_gateway: StartGateway, redis_url: str
) -> None:
    gateway = await start_gateway(redis_url, STREAM__CLIENT_BUFFER_BYTES="4096")
    thread_id = await gateway.new_thread()
    run_id = await gateway.execute(thread_id)
    texts = [f"{number} " + "x" * 60_000 for number in range(300)]
    async with open_worker(redis_url) as worker:
        async with gateway.stream(f"/api/agent/{thread_id}/runs/{run_id}/stream") as events:
            assert (await anext(events)).event == "waiting"
            await worker.do(thread_id, run_id, *texts)
            ids = [event.id async for event in events if event.id]
        async with gateway.stream(f"/api/agent/{thread_id}/runs/{run_id}/stream") as events:
            complete = [event.id async for event in events if event.id]
    assert ids == complete
    assert len(ids) == len(texts) + 1


async def test_streams_have_the_headers_that_proxies_need(start_gateway: StartGateway, redis_url: str) -> None:
    gateway = await start_gateway(redis_url)
    thread_id = await gateway.new_thread()
    path = f"/api/agent/{thread_id}/stream"
    async with gateway.http.stream("GET", path, params={"until": "completion"}) as response:
        body = await response.aread()
    assert response.headers["content-type"].startswith("text/event-stream")
    assert response.headers["cache-control"] == "no-cache, no-transform"
    assert response.headers["x-accel-buffering"] == "no"
    assert body.startswith(b"retry: 3000\n\n")


async def test_an_invalid_stream_request_is_refused_before_the_stream_begins(
    start_gateway: StartGateway, redis_url: str
) -> None:
    gateway = await start_gateway(redis_url)
    thread_id = await gateway.new_thread()

    async def answer(path: str) -> tuple[int, str]:
        response: httpx.Response = await gateway.http.get(path)
        return response.status_code, response.json()["code"]

    assert await answer("/api/agent/unknown/stream") == (404, "thread_not_found")
    assert await answer(f"/api/agent/{thread_id}/runs/unknown/stream") == (404, "run_not_found")
    assert await answer(f"/api/agent/{thread_id}/stream?last_id=nonsense") == (400, "bad_last_id")
    assert await answer("/agent/event-stream?flowUuid=a&flowInputUuid=%20") == (400, "bad_request")
    assert await answer("/agent/event-stream?flowUuid=a") == (400, "bad_request")


async def test_a_quiet_legacy_stream_stays_open_while_its_run_is_active_on_another_thread(
    start_gateway: StartGateway, redis_url: str
) -> None:
    gateway = await start_gateway(redis_url, STREAM__IDLE_TIMEOUT="0.4", STREAM__KEEP_ALIVE_INTERVAL="0.1")
    own = await gateway.new_thread()
    query = {"flowUuid": "flow", "flowInputUuid": "input"}
    async with open_worker(redis_url) as worker:
        keys = worker.connection.keys("flow")
        run = RunRecord(
            run_id="input", thread_id=own, task="t", created_at=_TIME, legacy_stream=keys.legacy_stream("input")
        )
        await worker.runs.submit(run, on_busy=OnBusy.QUEUE)
        async with gateway.stream("/agent/event-stream", **query) as events:
            got = [(await anext(events)).event for _ in range(10)]
    assert got == ["waiting"] + ["keep_alive"] * 9
