"""Every route of a real gateway over a real Redis, and its answers when Redis or the broker is down."""

import asyncio
import json
from collections.abc import AsyncIterator

import httpx
import pytest

from shared.contract.run import Question, QuestionKind, RunJob
from shared.keys import OPEN_RUNS_INDEX
from shared.store.leases import open_run_member
from tests.integration.conftest import StartGateway
from tests.integration.fake_worker import open_worker
from tests.integration.gateway_process import SseEvent
from tests.integration.redis_process import RedisProcess, free_port

_JSON = {"content-type": "application/json"}


async def test_a_thread_lives_from_initiate_to_delete(start_gateway: StartGateway, redis_url: str) -> None:
    gateway = await start_gateway(redis_url)
    made = await gateway.http.post("/api/agent/initiate", json={"metadata": {"a": 1}, "context": {"b": [2]}})
    thread_id = made.json()["thread_id"]
    read = (await gateway.http.get(f"/api/agent/{thread_id}")).json()
    listed = (await gateway.http.get("/api/agent/threads")).json()
    deleted = await gateway.http.delete(f"/api/agent/{thread_id}")
    gone = await gateway.http.get(f"/api/agent/{thread_id}")
    assert made.status_code == 200
    assert made.json()["status"] == "active"
    assert (read["metadata"], read["context"], read["run_count"]) == ({"a": 1}, {"b": [2]}, 0)
    assert [item["thread_id"] for item in listed["items"]] == [thread_id]
    assert deleted.status_code == 204
    assert gone.status_code == 404
    assert gone.json()["code"] == "thread_not_found"
    assert gone.json()["request_id"] == gone.headers["x-request-id"]


async def test_pages_of_threads_hold_every_thread_once(start_gateway: StartGateway, redis_url: str) -> None:
    gateway = await start_gateway(redis_url)
    made = {await gateway.new_thread() for _ in range(5)}
    pages = await _pages(gateway.http, "/api/agent/threads")
    assert [len(page) for page in pages] == [2, 2, 1]
    assert {thread["thread_id"] for page in pages for thread in page} == made


async def test_pages_of_runs_hold_every_run_newest_first(start_gateway: StartGateway, redis_url: str) -> None:
    gateway = await start_gateway(redis_url)
    thread_id = await gateway.new_thread()
    made = [await gateway.execute(thread_id, f"task {number}") for number in range(5)]
    pages = await _pages(gateway.http, f"/api/agent/{thread_id}/runs")
    run = (await gateway.http.get(f"/api/agent/{thread_id}/runs/{made[0]}")).json()
    assert [item["run_id"] for page in pages for item in page] == made[::-1]
    assert [len(page) for page in pages] == [2, 2, 1]
    assert (run["task"], run["status"], run["attempts"]) == ("task 0", "pending", 0)


async def test_messages_of_a_new_thread_are_an_empty_page(start_gateway: StartGateway, redis_url: str) -> None:
    gateway = await start_gateway(redis_url)
    thread_id = await gateway.new_thread()
    response = await gateway.http.get(f"/api/agent/{thread_id}/messages")
    assert response.json() == {"items": []}
    assert (await gateway.http.get("/api/agent/unknown/messages")).status_code == 404


async def test_a_second_task_waits_and_reject_is_refused(start_gateway: StartGateway, redis_url: str) -> None:
    gateway = await start_gateway(redis_url)
    thread_id = await gateway.new_thread()
    path = f"/api/agent/{thread_id}/execute"
    answers = [
        await gateway.http.post(path, json={"task": "t", "on_busy": on_busy})
        for on_busy in ("queue", "queue", "reject")
    ]
    assert [answer.status_code for answer in answers] == [200, 200, 409]
    assert [answers[0].json()["status"], answers[1].json()["status"]] == ["processing", "pending"]
    assert answers[2].json()["code"] == "thread_busy"


async def test_steer_answers_with_the_active_run_and_interrupt_takes_its_place(
    start_gateway: StartGateway, redis_url: str
) -> None:
    gateway = await start_gateway(redis_url)
    thread_id = await gateway.new_thread()
    path = f"/api/agent/{thread_id}/execute"
    first, steered, urgent = [
        (await gateway.http.post(path, json={"task": on_busy, "on_busy": on_busy})).json()
        for on_busy in ("queue", "steer", "interrupt")
    ]
    assert "run_id" in steered, steered
    assert (steered["run_id"], steered["status"]) == (first["run_id"], "processing")
    assert urgent["status"] == "pending"
    thread = (await gateway.http.get(f"/api/agent/{thread_id}")).json()
    assert (thread["active_run_id"], thread["run_count"]) == (urgent["run_id"], 2)
    cancelled = (await gateway.http.get(f"/api/agent/{thread_id}/runs/{first['run_id']}")).json()
    assert (cancelled["status"], cancelled["stop_reason"]) == ("cancelled", "cancelled")
    messages = (await gateway.http.get(f"/api/agent/{thread_id}/messages")).json()["items"]
    assert [message["content"] for message in messages] == ["steer"], "the steering text is not lost with the run"


async def test_requests_with_the_same_idempotency_key_give_one_run(start_gateway: StartGateway, redis_url: str) -> None:
    gateway = await start_gateway(redis_url)
    thread_id = await gateway.new_thread()

    async def post() -> dict[str, str]:
        response = await gateway.http.post(
            f"/api/agent/{thread_id}/execute", json={"task": "t"}, headers={"Idempotency-Key": "k"}
        )
        body: dict[str, str] = response.json()
        return body

    answers = await asyncio.gather(*(post() for _ in range(20)))
    assert len({answer["run_id"] for answer in answers}) == 1
    assert {answer["status"] for answer in answers} == {"processing"}
    assert len((await gateway.http.get(f"/api/agent/{thread_id}/runs")).json()["items"]) == 1


async def test_the_job_is_on_the_queue_under_the_task_name(start_gateway: StartGateway, redis_url: str) -> None:
    gateway = await start_gateway(redis_url)
    thread_id = await gateway.new_thread()
    run_id = await gateway.execute(thread_id)
    async with open_worker(redis_url) as worker:
        (raw,) = await worker.connection.redis.lrange("celery", 0, -1)
    assert json.loads(raw)["headers"]["task"] == "modem.execute_run"
    assert json.loads(raw)["headers"]["argsrepr"] == repr([thread_id, run_id])


async def test_health_is_degraded_without_a_modem_and_healthy_with_one(
    start_gateway: StartGateway, redis_url: str
) -> None:
    gateway = await start_gateway(redis_url)
    without = await gateway.http.get("/health")
    async with open_worker(redis_url) as worker:
        await worker.workers.report_alive("w", lifetime_seconds=30)
    with_one = await gateway.until_probed("/health", status="healthy")
    ready = await gateway.http.get("/ready")
    assert (without.status_code, without.json()["status"]) == (200, "degraded")
    assert (with_one.status_code, with_one.json()["status"]) == (200, "healthy")
    assert with_one.json()["config_status"] == {
        "overall_status": "healthy", "redis": "healthy", "celery": "healthy",
    }  # fmt: skip
    assert ready.status_code == 200
    assert (ready.json()["redis"], ready.json()["broker"], ready.json()["modems"]) == ("ready", "ready", 1)
    assert (await gateway.http.get("/live")).status_code == 200


async def test_readiness_warns_of_a_redis_that_may_lose_data(
    start_gateway: StartGateway, own_redis: RedisProcess
) -> None:
    async with open_worker(own_redis.url) as worker:
        await worker.connection.redis.config_set("maxmemory", "100mb")
        await worker.connection.redis.config_set("maxmemory-policy", "allkeys-lru")
    gateway = await start_gateway(own_redis.url)
    warnings = (await gateway.http.get("/ready")).json()["warnings"]
    assert [("disk" in warning, "evict" in warning) for warning in warnings] == [(True, False), (False, True)]
    for warning in warnings:
        await gateway.until_logged(warning)


_NEED_REDIS = (
    ("POST", "/api/agent/initiate"),
    ("POST", "/api/agent/x/execute"),
    ("GET", "/api/agent/threads"),
    ("GET", "/api/agent/x"),
    ("DELETE", "/api/agent/x"),
    ("GET", "/api/agent/x/messages"),
    ("GET", "/api/agent/x/runs"),
    ("GET", "/api/agent/x/runs/y"),
    ("GET", "/api/agent/x/stream"),
    ("GET", "/api/agent/x/runs/y/stream"),
    ("GET", "/agent/event-stream?flowUuid=a&flowInputUuid=b"),
)


@pytest.mark.parametrize("failure", ["stopped", "hanging"])
async def test_without_redis_every_route_says_503_and_recovers(
    start_gateway: StartGateway, own_redis: RedisProcess, failure: str
) -> None:
    gateway = await start_gateway(own_redis.url)
    if failure == "stopped":
        own_redis.stop()
    else:
        own_redis.pause()
    answers = await asyncio.gather(
        *(gateway.http.request(method, path, json=_body(path)) for method, path in _NEED_REDIS),
        gateway.until_probed("/health", status="unhealthy"),
        gateway.until_probed("/ready", status="not_ready"),
    )
    alive = await gateway.http.get("/live")
    if failure == "stopped":
        own_redis.start()
    else:
        own_redis.resume()
    recovered = await gateway.http.get("/api/agent/threads")
    assert [answer.status_code for answer in answers] == [503] * (len(_NEED_REDIS) + 2)
    assert {answer.json()["code"] for answer in answers[:-2]} == {"redis_unavailable"}
    assert all("retry-after" in answer.headers for answer in answers[:-2])
    assert alive.status_code == 200
    assert recovered.status_code == 200


def _body(path: str) -> dict[str, str] | None:
    return {"task": "t"} if path.endswith("/execute") else None


async def test_a_stream_survives_a_restart_of_redis(start_gateway: StartGateway, own_redis: RedisProcess) -> None:
    gateway = await start_gateway(own_redis.url, STREAM__KEEP_ALIVE_INTERVAL="0.3")
    query = {"flowUuid": "flow", "flowInputUuid": "input"}
    async with gateway.stream("/agent/event-stream", **query) as events:
        assert (await anext(events)).event == "waiting"
        own_redis.stop()
        assert [(await anext(events)).event for _ in range(3)] == ["keep_alive"] * 3
        own_redis.start()
        async with open_worker(own_redis.url) as worker:
            key = worker.connection.keys("flow").legacy_stream("input")
            await worker.connection.redis.xadd(key, {"event": "back", "data": "1"})
        async with asyncio.timeout(10):
            assert "back" in [event.event async for event in _until(events, "back")]


async def test_a_broker_that_is_down_fails_the_run_with_one_completion(
    start_gateway: StartGateway, redis_url: str
) -> None:
    gateway = await start_gateway(redis_url, MODEM__BROKER_URL=f"redis://127.0.0.1:{free_port()}/0")
    thread_id = await gateway.new_thread()
    answer = await gateway.http.post(
        f"/api/agent/{thread_id}/execute", json={"task": "t"}, headers={"Idempotency-Key": "k"}
    )
    (run,) = (await gateway.http.get(f"/api/agent/{thread_id}/runs")).json()["items"]
    async with gateway.stream(f"/api/agent/{thread_id}/stream", until="completion") as events:
        got = [event async for event in events]
    ready = await gateway.until_probed("/ready", broker="unavailable")
    assert (answer.status_code, answer.json()["code"]) == (503, "broker_unavailable")
    assert "retry-after" in answer.headers
    assert (run["status"], run["stop_reason"]) == ("failed", "internal_error")
    assert [event.data["execute_type"] for event in got] == ["flow_completion"]
    assert got[0].data["current_state"] == "error"
    assert (ready.status_code, ready.json()["broker"]) == (503, "unavailable")


async def test_a_broker_that_hangs_times_out_and_does_not_block_the_exit(
    start_gateway: StartGateway, redis_url: str, own_redis: RedisProcess
) -> None:
    gateway = await start_gateway(redis_url, MODEM__BROKER_URL=own_redis.url, GATEWAY__PUBLISH_TIMEOUT="1")
    thread_id = await gateway.new_thread()
    first = await gateway.execute(thread_id)
    async with open_worker(redis_url) as worker:
        await worker.do(thread_id, first)
    own_redis.pause()
    answer = await gateway.http.post(f"/api/agent/{thread_id}/execute", json={"task": "t"})
    runs = (await gateway.http.get(f"/api/agent/{thread_id}/runs")).json()["items"]
    gateway.terminate()
    assert (answer.status_code, answer.json()["code"]) == (503, "broker_unavailable")
    assert [run["status"] for run in runs] == ["failed", "completed"]
    assert await gateway.wait() == 0


async def test_a_cancel_and_an_answer_are_accepted_while_the_broker_is_down(
    start_gateway: StartGateway, redis_url: str, own_redis: RedisProcess
) -> None:
    gateway = await start_gateway(redis_url, MODEM__BROKER_URL=own_redis.url, GATEWAY__PUBLISH_TIMEOUT="1")
    one, other = await gateway.new_thread(), await gateway.new_thread()
    first, second = await gateway.execute(one), await gateway.execute(one)
    asking = await gateway.execute(other)
    async with open_worker(redis_url) as worker:
        question = Question(call_id="c", question="?", kind=QuestionKind.ASK_USER)
        await worker.runs.wait(await worker.claim(other, asking), question, b"{}")
        own_redis.stop()
        cancelled = await gateway.http.post(f"/api/agent/{one}/runs/{first}/cancel")
        answered = await gateway.http.post(f"/api/agent/{other}/runs/{asking}/input", json={"answer": "yes"})
        open_runs = set(await worker.connection.redis.zrange(OPEN_RUNS_INDEX, 0, -1))
    assert (cancelled.status_code, cancelled.json()["status"]) == (202, "cancelled")
    assert (answered.status_code, answered.json()["status"]) == (202, "processing")
    assert open_runs == {
        open_run_member(RunJob(thread_id=thread_id, run_id=run_id)).encode()
        for thread_id, run_id in ((one, second), (other, asking))
    }


async def test_a_broker_that_is_up_again_gets_the_next_job(
    start_gateway: StartGateway, redis_url: str, own_redis: RedisProcess
) -> None:
    gateway = await start_gateway(redis_url, MODEM__BROKER_URL=own_redis.url)
    await gateway.execute(await gateway.new_thread())
    own_redis.stop()
    own_redis.start()
    await gateway.execute(await gateway.new_thread())


async def test_a_body_over_the_limit_is_refused_however_it_is_sent(start_gateway: StartGateway, redis_url: str) -> None:
    gateway = await start_gateway(redis_url, GATEWAY__MAX_BODY_BYTES="2000")
    thread_id = await gateway.new_thread()
    body = json.dumps({"task": "x" * 3000}).encode()

    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(body), 500):
            yield body[start : start + 500]

    declared = await gateway.http.post(f"/api/agent/{thread_id}/execute", content=body, headers=_JSON)
    chunked = await gateway.http.post(f"/api/agent/{thread_id}/execute", content=chunks(), headers=_JSON)
    assert [declared.status_code, chunked.status_code] == [413, 413]
    assert [declared.json()["code"], chunked.json()["code"]] == ["body_too_large", "body_too_large"]


async def test_other_origins_get_cors_headers_only_when_they_are_listed(
    start_gateway: StartGateway, redis_url: str
) -> None:
    gateway = await start_gateway(redis_url, CORS__ALLOW_ORIGINS="https://listed.example")
    listed = await gateway.http.get("/live", headers={"Origin": "https://listed.example"})
    other = await gateway.http.get("/live", headers={"Origin": "https://other.example"})
    assert listed.headers["access-control-allow-origin"] == "https://listed.example"
    assert "access-control-allow-origin" not in other.headers


async def _pages(http: httpx.AsyncClient, path: str) -> list[list[dict[str, str]]]:
    pages: list[list[dict[str, str]]] = []
    parameters = {"limit": "2"}
    while True:
        body = (await http.get(path, params=parameters)).json()
        pages.append(body["items"])
        if "next_cursor" not in body:
            return pages
        parameters["cursor"] = body["next_cursor"]


async def _until(events: AsyncIterator[SseEvent], name: str) -> AsyncIterator[SseEvent]:
    async for event in events:
        yield event
        if event.event == name:
            return
