"""Heads and bodies that are too long, too slow or endless, over raw sockets: refused without delaying others."""

import asyncio
from contextlib import AsyncExitStack

import psutil

from tests.integration.conftest import StartGateway
from tests.integration.gateway_process import GatewayProcess
from tests.integration.raw_client import raw_client, request

_LIVE = request("GET", "/live")
_UNFINISHED = b"GET /live HTTP/1.1\r\nHost: localhost\r\nX: "


async def _is_live(gateway: GatewayProcess) -> bool:
    return (await gateway.http.get("/live")).status_code == 200


def _endless() -> dict[str, bytes]:
    return {
        "one header": request("GET", "/live", "X: " + "a" * 8_000_000),
        "a header that does not end": _UNFINISHED + b"a" * 8_000_000,
        "many headers": request("GET", "/live", *(f"X-{number}: a" for number in range(100_000))),
        "a few headers too many": request("GET", "/live", *(f"X-{number}: a" for number in range(110))),
        "a query": request("GET", "/live?" + "a=1&" * 1_000_000),
        "a path": request("GET", "/" + "a" * 4_000_000),
        "empty lines": b"\r\n" * 1_000_000,
    }


async def test_an_endless_head_is_refused_with_431(start_gateway: StartGateway, redis_url: str) -> None:
    gateway = await start_gateway(redis_url)
    before = psutil.Process(gateway.pid).memory_info().rss
    for name, head in _endless().items():
        async with raw_client(gateway) as client:
            sending = asyncio.create_task(client.send(head))
            answer = await client.answer()
            assert (name, answer.status, answer.error["code"]) == (name, 431, "head_too_large")
            assert answer.headers["connection"] == "close"
            assert (name, await client.rest()) == (name, b"")
            await sending
    assert psutil.Process(gateway.pid).memory_info().rss - before < 8_000_000
    assert await _is_live(gateway)


async def test_chunk_extensions_and_trailers_are_bounded(start_gateway: StartGateway, redis_url: str) -> None:
    gateway = await start_gateway(redis_url)
    before = psutil.Process(gateway.pid).memory_info().rss
    head = request("POST", "/api/agent/initiate", "Transfer-Encoding: chunked")
    for around in (b"1;" + b"a" * 8_000_000, b"0\r\n" + b"a: b\r\n" * 1_000_000, b"0\r\na: " + b"b" * 8_000_000):
        async with raw_client(gateway) as client:
            sending = asyncio.create_task(client.send(head + around))
            assert (await client.answer()).status == 431
            assert await client.rest() == b""
            await sending
    assert psutil.Process(gateway.pid).memory_info().rss - before < 8_000_000
    assert await _is_live(gateway)


async def test_a_head_up_to_the_limit_is_served(start_gateway: StartGateway, redis_url: str) -> None:
    gateway = await start_gateway(redis_url)
    async with raw_client(gateway) as client:
        for _ in range(3):
            await client.send(request("GET", "/live", *(f"X-{number}: {'a' * 640}" for number in range(98))))
            assert (await client.answer()).status == 200


async def test_slow_heads_end_with_408_and_others_are_served_meanwhile(
    start_gateway: StartGateway, redis_url: str
) -> None:
    gateway = await start_gateway(redis_url, GATEWAY__HEAD_TIMEOUT="0.5")
    async with AsyncExitStack() as stack:
        slow = [await stack.enter_async_context(raw_client(gateway)) for _ in range(200)]
        drips = [asyncio.create_task(client.drip(_UNFINISHED)) for client in slow]
        assert await _is_live(gateway)
        answers = await asyncio.gather(*(client.answer() for client in slow))
        for drip in drips:
            drip.cancel()
        await asyncio.wait(drips)
        assert {(answer.status, answer.error["code"]) for answer in answers} == {(408, "request_timeout")}
        assert set(await asyncio.gather(*(client.rest() for client in slow))) == {b""}


async def test_a_connection_without_a_request_is_closed_without_an_answer(
    start_gateway: StartGateway, redis_url: str
) -> None:
    gateway = await start_gateway(redis_url, GATEWAY__HEAD_TIMEOUT="0.3")
    async with raw_client(gateway) as silent, raw_client(gateway) as fresh, raw_client(gateway) as used:
        await used.send(_LIVE)
        assert (await used.answer()).status == 200
        await used.send(b"\r\n")
        await fresh.send(b"\r\n")
        assert [await client.rest() for client in (silent, fresh, used)] == [b""] * 3


async def test_a_slow_body_ends_with_408(start_gateway: StartGateway, redis_url: str) -> None:
    gateway = await start_gateway(redis_url, GATEWAY__BODY_TIMEOUT="0.3")
    for target, framing in (
        ("/api/agent/initiate", "Content-Length: 100"),
        ("/api/agent/initiate", "Transfer-Encoding: chunked"),
        ("/api/agent/t/execute", "Content-Length: 100"),
    ):
        async with raw_client(gateway) as client:
            await client.send(request("POST", target, "Content-Type: application/json", framing) + b"1\r\n")
            answer = await client.answer()
            assert (answer.status, answer.error["code"]) == (408, "request_timeout")
            assert await client.rest() == b"", "the rest of the body is awaited for a limited time only"
    assert await _is_live(gateway)


async def test_an_answer_that_comes_before_the_body_leaves_the_connection_usable(
    start_gateway: StartGateway, redis_url: str
) -> None:
    gateway = await start_gateway(redis_url)
    async with raw_client(gateway) as client:
        await client.send(b"POST /nothing HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\n12")
        assert (await client.answer()).status == 404
        await client.send(b"345" + _LIVE)
        assert (await client.answer()).status == 200


async def test_garbage_after_a_complete_request_does_not_affect_its_answer(
    start_gateway: StartGateway, redis_url: str
) -> None:
    gateway = await start_gateway(redis_url)
    for garbage in (b"}", b"\x00" * 100, b"GET /" + b"a" * 100_000):
        async with raw_client(gateway) as client:
            await client.send(_LIVE + garbage)
            assert (await client.answer()).status == 200


async def test_pipelined_requests_are_answered_in_order(start_gateway: StartGateway, redis_url: str) -> None:
    gateway = await start_gateway(redis_url)
    count = 3000
    async with raw_client(gateway) as client:
        sending = asyncio.create_task(client.send(b"".join(request("GET", f"/none/{n}") for n in range(count)) + _LIVE))
        statuses = [(await client.answer()).status for _ in range(count + 1)]
        await sending
    assert statuses == [404] * count + [200]


async def test_requests_pipelined_after_an_open_stream_take_no_memory(
    start_gateway: StartGateway, redis_url: str
) -> None:
    gateway = await start_gateway(redis_url)
    thread_id = await gateway.new_thread()
    before = psutil.Process(gateway.pid).memory_info().rss
    async with raw_client(gateway) as client:
        await client.send(request("GET", f"/api/agent/{thread_id}/stream"))
        await client.until(b"event: waiting")
        flood = asyncio.create_task(client.send(b"GET / HTTP/1.1\r\n\r\n" * 1_000_000))
        await gateway.execute(thread_id)
        assert await _is_live(gateway)
        assert psutil.Process(gateway.pid).memory_info().rss - before < 8_000_000
        flood.cancel()
        await asyncio.wait([flood])
    assert await _is_live(gateway)


async def test_an_answer_to_http_1_0_ends_with_the_connection_and_has_no_chunks(
    start_gateway: StartGateway, redis_url: str
) -> None:
    gateway = await start_gateway(redis_url, STREAM__MAX_DURATION="0.5", STREAM__KEEP_ALIVE_INTERVAL="0.4")
    thread_id = await gateway.new_thread()
    async with raw_client(gateway) as client:
        await client.send(f"GET /api/agent/{thread_id}/stream HTTP/1.0\r\n\r\n".encode())
        status, headers = await client.head()
        body = await client.rest()
    assert (status, headers["connection"], headers.get("transfer-encoding")) == (200, "close", None)
    assert body.startswith(b"retry: 3000\n\nevent: waiting\ndata: ")
    assert body.endswith(b"\n\n")
    async with raw_client(gateway) as client:
        await client.send(b"GET /live HTTP/1.0\r\n\r\n")
        answer = await client.answer()
        assert (answer.status, answer.headers.get("transfer-encoding"), await client.rest()) == (200, None, b"")
