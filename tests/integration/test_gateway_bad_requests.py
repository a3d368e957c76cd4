"""Invalid requests to every route: each is refused with an error body, never with 500, and affects no other client."""

import asyncio
import json

import orjson
import pytest

from tests.integration.conftest import StartGateway
from tests.integration.gateway_process import GatewayProcess
from tests.integration.raw_client import raw_client, request

_JSON = "Content-Type: application/json"
_LEGACY = "/agent/event-stream?flowUuid={}&flowInputUuid=input"
_SOCKET = (
    "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
)  # fmt: skip
_IDS = ("a:b", "%7Bb%7D", "a%0Ab", "a%0D", "a%00b", "a%1B%5B2J", "a%C2%85", "a%E2%80%A8b", "a" * 4000)
_STREAM, _RUN_STREAM = "/api/agent/{thread}/stream", "/api/agent/{thread}/runs/{run}/stream"


def _targets() -> dict[str, tuple[int, str]]:
    """Return invalid targets, with status and code of the refusal."""
    legacy = {_LEGACY.format(wrong): (400, "bad_request") for wrong in _IDS}
    turned = {f"/agent/event-stream?flowUuid=flow&flowInputUuid={wrong}": (400, "bad_request") for wrong in _IDS}
    threads = {f"/api/agent/{wrong}": (404, "thread_not_found") for wrong in _IDS}
    runs = {f"/api/agent/{{thread}}/runs/{wrong}": (404, "run_not_found") for wrong in _IDS}
    alone = {f"/api/agent/runs/{wrong}": (404, "run_not_found") for wrong in _IDS}
    last_ids = {
        f"{path}?last_id={wrong}": (400, "bad_last_id")
        for path in (_STREAM, _RUN_STREAM)
        for wrong in ("x", "%00", "1-", "9" * 21, "1-1-1", "%D9%A3-1", "9" * 4000)
    }
    cursors = {
        f"{path}?cursor={wrong}": (400, "bad_cursor")
        for path in ("/api/agent/threads", "/api/agent/{thread}/runs", "/api/agent/{thread}/messages")
        for wrong in ("%FF%00", "%C3%A9", "a", "=", "%00", "A" * 60_000)
    }
    others = {
        f"/api/agent/threads?limit={'9' * 5000}": (422, "invalid_request"),
        f"{_STREAM}?types={'a,' * 200}b": (400, "bad_request"),
        f"{_STREAM}?types={'a' * 1000}": (400, "bad_request"),
        f"{_STREAM}?types=,": (400, "bad_request"),
        f"{_STREAM}?until=never": (422, "invalid_request"),
    }
    return legacy | turned | threads | runs | alone | last_ids | cursors | others


async def test_invalid_ids_and_query_parameters_are_refused(start_gateway: StartGateway, redis_url: str) -> None:
    gateway = await start_gateway(redis_url)
    thread_id = await gateway.new_thread()
    run_id = await gateway.execute(thread_id)
    wrong = []
    async with raw_client(gateway) as client:
        for target, expected in _targets().items():
            await client.send(request("GET", target.replace("{thread}", thread_id).replace("{run}", run_id)))
            answer = await client.answer()
            if (answer.status, answer.error["code"]) != expected or len(answer.body) > 1000:
                wrong.append((target[:100], answer.status, answer.body[:200]))
    assert wrong == []
    await _require_no_errors(gateway)


_BODIES: dict[str, tuple[bytes, int]] = {
    "no JSON": (b"{", 422),
    "bytes that are no text": (b'{"task": "\xff"}', 422),
    "packed": (b"\x1f\x8b\x08\x00" + b"a" * 100, 422),
    "a megabyte of digits": (b'{"task": "t", "parameters": {"max_steps": ' + b"9" * 1_000_000 + b"}}", 422),
    "a hundred thousand members": (orjson.dumps({f"k{number}": 1 for number in range(80_000)}), 422),
    "half a million wrong items": (b'{"task": "t", "context_data": [' + b"1," * 500_000 + b"1]}", 422),
    "a member with a long name": (b'{"task": "t", "' + b"k" * 1_000_000 + b'": 1}', 422),
    "a long wrong word": (b'{"task": "t", "on_busy": "' + b"k" * 1_000_000 + b'"}', 422),
    "a list": (b"[" + b"1," * 500_000 + b"1]", 422),
    "a text": (b'"' + b"a" * 1_000_000 + b'"', 422),
    "too long": (b'"' + b"a" * 2_000_000 + b'"', 413),
}


async def test_bodies_with_a_thousand_errors_are_refused_with_a_short_message(
    start_gateway: StartGateway, redis_url: str
) -> None:
    gateway = await start_gateway(redis_url)
    thread_id = await gateway.new_thread()
    wrong = []
    for name, (body, status) in _BODIES.items():
        for target in (f"/api/agent/{thread_id}/execute", "/api/agent/initiate"):
            async with raw_client(gateway) as client:
                sending = asyncio.create_task(client.send(request("POST", target, _JSON, body=body)))
                answer = await client.answer()
                await sending
            if answer.status != status or len(answer.error["detail"]) > 2000:
                wrong.append((name, target, answer.status, answer.body[:200]))
    assert wrong == []
    await _require_no_errors(gateway)


async def test_of_members_named_twice_the_last_counts(start_gateway: StartGateway, redis_url: str) -> None:
    gateway = await start_gateway(redis_url)
    thread_id = await gateway.new_thread()
    async with raw_client(gateway) as client:
        target = f"/api/agent/{thread_id}/execute"
        await client.send(request("POST", target, _JSON, body=b'{"task": "first", "task": "second"}'))
        run_id = json.loads((await client.answer()).body)["run_id"]
    assert (await gateway.http.get(f"/api/agent/{thread_id}/runs/{run_id}")).json()["task"] == "second"


_FRAMING = {
    "a length that is no number": (b"Content-Length: abc\r\n\r\n", 400),
    "a negative length": (b"Content-Length: -1\r\n\r\n", 400),
    "a length beyond 64 bits": (b"Content-Length: 1208925819614629174706176\r\n\r\n", 400),
    "a huge length": (b"Content-Length: 99999999999\r\n\r\n", 413),
    "two lengths": (b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabc", 400),
    "a length and chunks": (b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n", 400),
    "a chunk beyond 64 bits": (b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffffffff\r\n", 400),
    "chunks beyond the limit": (
        b"Transfer-Encoding: chunked\r\n\r\n" + (b"10000\r\n" + b"a" * 65536 + b"\r\n") * 48,
        413,
    ),
    "a header of control characters": (b"X-Request-ID: a\x01b\r\n\r\n", 400),
    "a header over two lines": (b"X-Request-ID: a\r\n b\r\n\r\n", 400),
    "a key of control characters": (b"Idempotency-Key: a\x7f\r\n\r\n", 400),
    "text instead of JSON": (b'Content-Type: text/plain\r\nContent-Length: 12\r\n\r\n{"task":"t"}', 422),
    "a key that is too long": (b"Idempotency-Key: " + b"a" * 300 + b"\r\nContent-Length: 0\r\n\r\n", 422),
}


async def test_requests_that_contradict_themselves_are_refused(start_gateway: StartGateway, redis_url: str) -> None:
    gateway = await start_gateway(redis_url)
    thread_id = await gateway.new_thread()
    wrong = []
    for name, (rest, status) in _FRAMING.items():
        async with raw_client(gateway) as client:
            head = f"POST /api/agent/{thread_id}/execute HTTP/1.1\r\nHost: localhost\r\n".encode()
            sending = asyncio.create_task(client.send(head + rest))
            answer = await client.answer()
            sending.cancel()
            await asyncio.wait([sending])
        if answer.status != status or not answer.error["detail"]:
            wrong.append((name, answer.status, answer.body[:200]))
    assert wrong == []
    for garbage in (
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"CONNECT a:1 HTTP/1.1\r\n\r\n",
    ):
        async with raw_client(gateway) as client:
            await client.send(garbage)
            assert (await client.answer()).error["code"] == "bad_request"
    await _require_no_errors(gateway)


@pytest.mark.parametrize("path", ["/live", "/health", "/ready"])
async def test_probes_answer_head(start_gateway: StartGateway, redis_url: str, path: str) -> None:
    gateway = await start_gateway(redis_url)
    asked, got = await gateway.http.head(path), await gateway.http.get(path)
    assert (asked.status_code, asked.content) == (200, b"")
    assert asked.headers["content-type"] == got.headers["content-type"]


_HANDSHAKES = {
    "an unknown thread": ("/ws/agent/x", (), 404, "thread_not_found"),
    "no such route": ("/nothing", (), 404, "not_found"),
    "a foreign origin": ("/ws/agent/{}", ("Origin: http://evil",), 403, "origin_not_allowed"),
    "an origin that is no address": ("/ws/agent/{}", ("Origin: http://[evil",), 403, "origin_not_allowed"),
    "a long header": ("/ws/agent/{}", ("X: " + "a" * 9000,), 431, "head_too_large"),
    "another version": ("/ws/agent/{}", ("Sec-WebSocket-Version: 8",), 400, "bad_request"),
}


async def test_failed_handshakes_get_the_common_error_body_and_log_no_error(
    start_gateway: StartGateway, redis_url: str
) -> None:
    gateway = await start_gateway(redis_url)
    thread_id = await gateway.new_thread()
    for name, (target, headers, status, code) in _HANDSHAKES.items():
        async with raw_client(gateway) as client:
            await client.send(request("GET", target.format(thread_id), *_SOCKET, *headers))
            answer = await client.answer()
            assert (name, answer.status, answer.error["code"]) == (name, status, code)
            assert await client.rest() == b""
    await _require_no_errors(gateway)


async def test_a_message_in_countless_empty_pieces_closes_its_socket(
    start_gateway: StartGateway, redis_url: str
) -> None:
    gateway = await start_gateway(redis_url)
    thread_id = await gateway.new_thread()
    async with raw_client(gateway) as client:
        await client.send(request("GET", f"/ws/agent/{thread_id}", *_SOCKET))
        assert (await client.head())[0] == 101
        await client.send(b"\x01\x80\0\0\0\0" + b"\x00\x80\0\0\0\0" * 5000)
        assert b"too many pieces" in await client.rest()
    await _require_no_errors(gateway)


async def _require_no_errors(gateway: GatewayProcess) -> None:
    """Check that the gateway still answers and has logged no error."""
    assert (await gateway.http.get("/live")).status_code == 200
    lines = [json.loads(line) for line in gateway.log]
    assert [line for line in lines if line["level"] == "ERROR" or "exception" in line] == []
