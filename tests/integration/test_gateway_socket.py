"""WebSockets of a real gateway: the same events as over SSE, commands, refusals, slow clients, the shutdown."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.integration.conftest import StartGateway
from tests.integration.fake_worker import open_worker
from tests.integration.gateway_process import LIMIT_SECONDS, GatewayProcess

_TEXTS = tuple(f"text {number}" for number in range(8))


@asynccontextmanager
async def _open(
    gateway: GatewayProcess, thread_id: str, query: str = "", **options: Any
) -> AsyncIterator[ClientConnection]:
    url = gateway.url.replace("http://", "ws://") + f"/ws/agent/{thread_id}?{query}"
    async with asyncio.timeout(LIMIT_SECONDS), connect(url, proxy=None, max_size=None, **options) as socket:
        yield socket


async def _next(socket: ClientConnection) -> dict[str, Any]:
    message: dict[str, Any] = json.loads(await socket.recv())
    return message


async def _ask(socket: ClientConnection, **message: object) -> dict[str, Any]:
    """Send a message and return its answer, skipping events."""
    await socket.send(json.dumps({"request_id": "q", **message}))
    while True:
        answer = await _next(socket)
        if answer["data"].get("request_id") == "q":
            return answer


async def _rest(socket: ClientConnection) -> list[dict[str, Any]]:
    received: list[dict[str, Any]] = []
    try:
        while True:
            received.append(await _next(socket))
    except ConnectionClosed:
        return received


async def test_a_socket_sends_the_events_of_the_event_stream(start_gateway: StartGateway, redis_url: str) -> None:
    gateway = await start_gateway(redis_url)
    thread_id = await gateway.new_thread()
    async with open_worker(redis_url) as worker, _open(gateway, thread_id) as socket:
        assert (await _next(socket))["event"] == "waiting"
        ack = await _ask(socket, type="execute", task="a task")
        await worker.do(thread_id, ack["data"]["run_id"], *_TEXTS)
        got = [await _next(socket) for _ in range(len(_TEXTS) + 1)]
    async with gateway.stream(f"/api/agent/{thread_id}/stream", until="completion") as events:
        assert [(event.id, event.event, event.data) async for event in events] == [
            (message["id"], message["event"], message["data"]) for message in got
        ]


async def test_a_socket_resumes_after_its_last_id_and_applies_its_filter(
    start_gateway: StartGateway, redis_url: str
) -> None:
    gateway = await start_gateway(redis_url)
    thread_id = await gateway.new_thread()
    run_id = await gateway.execute(thread_id)
    async with open_worker(redis_url) as worker:
        await worker.do(thread_id, run_id, *_TEXTS)
    async with _open(gateway, thread_id) as socket:
        ids = [(await _next(socket))["id"] for _ in range(len(_TEXTS) + 1)]
    async with _open(gateway, thread_id, f"last_id={ids[2]}") as socket:
        assert [(await _next(socket))["id"] for _ in ids[3:]] == ids[3:]
    async with _open(gateway, thread_id, "types=flow_completion") as socket:
        assert (await _next(socket))["id"] == ids[-1]


async def test_commands_are_answered_with_the_clients_request_id(start_gateway: StartGateway, redis_url: str) -> None:
    gateway = await start_gateway(redis_url)
    thread_id = await gateway.new_thread()
    async with _open(gateway, thread_id) as socket:
        assert (await _ask(socket, type="ping"))["event"] == "pong"
        first = await _ask(socket, type="execute", task="one", idempotency_key="k")
        again = await _ask(socket, type="execute", task="one", idempotency_key="k")
        second = await _ask(socket, type="execute", task="two")
        refused = await _ask(socket, type="execute", task="three", on_busy="reject")
        silent = await _ask(socket, type="input", answer="blue")
        cancelled = await _ask(socket, type="cancel")
        other = await _ask(socket, type="cancel", run_id=second["data"]["run_id"])
        nothing = await _ask(socket, type="cancel")
    assert (first["event"], first["data"]["type"], first["data"]["status"]) == ("ack", "execute", "processing")
    assert again["data"]["run_id"] == first["data"]["run_id"]
    assert second["data"]["status"] == "pending"
    assert (refused["data"]["error_type"], refused["data"]["status"]) == ("thread_busy", 409)
    assert (silent["data"]["error_type"], silent["data"]["status"]) == ("run_not_waiting", 409)
    assert (cancelled["data"]["run_id"], cancelled["data"]["status"]) == (first["data"]["run_id"], "cancelled")
    assert other["data"]["status"] == "cancelled"
    assert (nothing["data"]["error_type"], nothing["data"]["status"]) == ("run_not_found", 404)


async def test_a_bad_message_is_answered_and_the_socket_stays_open(start_gateway: StartGateway, redis_url: str) -> None:
    gateway = await start_gateway(redis_url, GATEWAY__MAX_BODY_BYTES="2000")
    thread_id = await gateway.new_thread()
    async with _open(gateway, thread_id) as socket:
        assert (await _next(socket))["event"] == "waiting"
        for message, error_type, status in (
            ("{", "bad_message", 400),
            (b'{"type": "ping"}', "bad_message", 400),
            ('{"type": "execute", "task": "' + "x" * 2000 + '"}', "message_too_big", 413),
        ):
            await socket.send(message)
            answer = await _next(socket)
            assert (answer["event"], answer["data"]["error_type"]) == ("error", error_type)
            assert answer["data"]["status"] == status
        assert (await _ask(socket, type="ping"))["event"] == "pong"


async def test_a_refused_handshake_is_answered_over_http(start_gateway: StartGateway, redis_url: str) -> None:
    gateway = await start_gateway(redis_url, CORS__ALLOW_ORIGINS="https://a.example")
    thread_id = await gateway.new_thread()

    async def refusal(thread: str, query: str = "", **options: Any) -> tuple[int, str]:
        with pytest.raises(InvalidStatus) as refused:
            async with _open(gateway, thread, query, **options):
                pass
        body = json.loads(refused.value.response.body or b"")
        assert body["request_id"] == refused.value.response.headers["x-request-id"]
        return refused.value.response.status_code, body["code"]

    assert await refusal("unknown") == (404, "thread_not_found")
    assert await refusal("a:b") == (404, "thread_not_found")
    assert await refusal(thread_id, "last_id=nonsense") == (400, "bad_last_id")
    assert await refusal(thread_id, "types=") == (400, "bad_request")
    assert await refusal(thread_id, "deltas=perhaps") == (422, "invalid_request")
    assert await refusal(thread_id, origin="https://b.example") == (403, "origin_not_allowed")
    assert await refusal("unknown", origin="null") == (403, "origin_not_allowed")
    for origin in ("https://a.example", gateway.url, None):
        async with _open(gateway, thread_id, origin=origin) as socket:
            assert (await _next(socket))["event"] == "waiting"


async def test_a_socket_that_stops_reading_misses_nothing(start_gateway: StartGateway, redis_url: str) -> None:
    gateway = await start_gateway(redis_url, STREAM__CLIENT_BUFFER_BYTES="4096")
    thread_id = await gateway.new_thread()
    run_id = await gateway.execute(thread_id)
    texts = [f"{number} " + "x" * 60_000 for number in range(300)]
    async with open_worker(redis_url) as worker, _open(gateway, thread_id, max_queue=1) as socket:
        assert (await _next(socket))["event"] == "waiting"
        await worker.do(thread_id, run_id, *texts)
        ids = [(await _next(socket))["id"] for _ in range(len(texts) + 1)]
        entries = await worker.connection.redis.xrange(worker.connection.keys(thread_id).stream)
    assert ids == [entry_id.decode() for entry_id, _ in entries]


async def test_a_socket_that_reads_nothing_is_cut_after_the_send_timeout(
    start_gateway: StartGateway, redis_url: str
) -> None:
    gateway = await start_gateway(redis_url, STREAM__SEND_TIMEOUT="0.5")
    thread_id = await gateway.new_thread()
    run_id = await gateway.execute(thread_id)
    async with open_worker(redis_url) as worker:
        await worker.do(thread_id, run_id, *("x" * 100_000 for _ in range(200)))
    async with _open(gateway, thread_id, max_queue=1) as socket:
        await _next(socket)
        socket.transport.pause_reading()
        line = await gateway.logged_route("/ws/agent/{thread_id}")
        socket.transport.abort()
    assert line["status"] == 101


async def test_sigterm_sends_shutdown_to_sockets_and_closes_them_with_1012(
    start_gateway: StartGateway, redis_url: str
) -> None:
    gateway = await start_gateway(redis_url)
    thread_id = await gateway.new_thread()
    async with _open(gateway, thread_id) as socket:
        assert (await _next(socket))["event"] == "waiting"
        gateway.terminate()
        received = await _rest(socket)
        assert [event["data"]["error_type"] for event in received] == ["shutdown"]
        assert socket.close_code == 1012
    assert await gateway.wait() == 0
    assert not [line for line in gateway.log if "Traceback" in line or '"ERROR"' in line]


async def test_data_that_is_no_json_is_sent_as_a_string(start_gateway: StartGateway, redis_url: str) -> None:
    gateway = await start_gateway(redis_url)
    thread_id = await gateway.new_thread()
    async with open_worker(redis_url) as worker:
        key = worker.connection.keys(thread_id).stream
        await worker.connection.redis.xadd(key, {"event": "custom", "data": '1,"id":"9-9"'})
        await worker.connection.redis.xadd(key, {"event": "custom", "data": '{"a":\n1}'})
    async with _open(gateway, thread_id) as socket:
        assert [(await _next(socket))["data"] for _ in range(2)] == ['1,"id":"9-9"', {"a": 1}]
