"""Pages of other origins get nothing from a gateway and change nothing in it, whatever a browser lets them send."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.integration.conftest import StartGateway
from tests.integration.gateway_process import GatewayProcess
from tests.integration.raw_client import RawAnswer, raw_client, request

_EVIL = "Origin: https://evil.example"
_NULL = "Origin: null"
_CROSS_SITE = "Sec-Fetch-Site: cross-site"
_JSON = "Content-Type: application/json"
_UPGRADE = (
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
)


async def _send(
    gateway: GatewayProcess, method: str, target: str, *headers: str, host: str = "localhost", body: bytes = b""
) -> RawAnswer:
    async with raw_client(gateway) as client:
        await client.send(request(method, target, *headers, host=host, body=body))
        return await client.answer()


async def _refusal(
    gateway: GatewayProcess, method: str, target: str, *headers: str, host: str = "localhost", body: bytes = b""
) -> tuple[int, str]:
    answer = await _send(gateway, method, target, *headers, host=host, body=body)
    return answer.status, answer.error["code"]


async def _threads(gateway: GatewayProcess) -> int:
    return len((await gateway.http.get("/api/agent/threads")).json()["items"])


@asynccontextmanager
async def _started(redis_url: str, *options: str, **settings: str) -> AsyncIterator[GatewayProcess]:
    gateway = GatewayProcess(redis_url, settings, *options)
    try:
        await gateway.start()
        yield gateway
    finally:
        await gateway.stop()


async def test_a_page_whose_name_was_rebound_to_this_machine_gets_no_answer(
    start_gateway: StartGateway, redis_url: str
) -> None:
    gateway = await start_gateway(redis_url)
    thread_id = await gateway.new_thread()
    host = f"evil.example:{gateway.port}"
    own = f"Origin: http://{host}"  # to the browser, page and gateway are of one origin
    refused = (421, "host_not_allowed")
    assert await _refusal(gateway, "GET", "/api/agent/threads", host=host) == refused
    assert await _refusal(gateway, "GET", f"/api/agent/{thread_id}/stream", host=host) == refused
    assert await _refusal(gateway, "GET", f"/ws/agent/{thread_id}", own, *_UPGRADE, host=host) == refused
    assert await _refusal(gateway, "POST", "/api/agent/initiate", own, _JSON, host=host, body=b"{}") == refused
    assert await _refusal(gateway, "DELETE", f"/api/agent/{thread_id}", own, host=host) == refused
    assert await _refusal(gateway, "GET", "/openapi.json", host=host) == refused
    assert await _refusal(gateway, "GET", "/nothing", host=host) == refused
    assert await _threads(gateway) == 1
    await gateway.until_logged("evil.example")


@pytest.mark.parametrize("path", ["/health", "/live", "/ready"])
async def test_probes_are_answered_for_any_host(start_gateway: StartGateway, redis_url: str, path: str) -> None:
    gateway = await start_gateway(redis_url)
    assert (await _send(gateway, "GET", path, _EVIL, _CROSS_SITE, host="10.1.2.3:8000")).status == 200


async def test_a_page_of_another_origin_cannot_open_a_websocket(start_gateway: StartGateway, redis_url: str) -> None:
    gateway = await start_gateway(redis_url, CORS__ALLOW_ORIGINS="https://app.example")
    thread_id = await gateway.new_thread()
    target = f"/ws/agent/{thread_id}"
    host = f"localhost:{gateway.port}"
    for page in (_EVIL, _NULL, "Origin: http://localhost:3000", _CROSS_SITE):
        assert await _refusal(gateway, "GET", target, page, *_UPGRADE, host=host) == (403, "origin_not_allowed")
    for page in ("Origin: https://app.example", f"Origin: http://{host}", "Accept: */*"):
        async with raw_client(gateway) as client:
            await client.send(request("GET", target, page, *_UPGRADE, host=host))
            assert (await client.head())[0] == 101


async def test_the_forms_of_another_site_change_nothing(start_gateway: StartGateway, redis_url: str) -> None:
    gateway = await start_gateway(redis_url)
    thread_id = await gateway.new_thread()
    run_id = await gateway.execute(thread_id)
    execute, cancel = f"/api/agent/{thread_id}/execute", f"/api/agent/{thread_id}/runs/{run_id}/cancel"
    text, form = "Content-Type: text/plain", "Content-Type: application/x-www-form-urlencoded"
    task, padded = b'{"task": "stolen"}', b'{"task": "stolen", "parameters": {"=": ""}}'
    refused = (403, "origin_not_allowed")
    for page in (_EVIL, _NULL, _CROSS_SITE, "Sec-Fetch-Site: same-site"):
        assert await _refusal(gateway, "POST", execute, page, text, body=padded) == refused
        assert await _refusal(gateway, "POST", execute, page, _JSON, body=task) == refused
        assert await _refusal(gateway, "POST", execute, page, body=task) == refused  # fetch() of a Blob
        assert await _refusal(gateway, "POST", "/api/agent/initiate", page, form) == refused
        assert await _refusal(gateway, "POST", cancel, page, "Sec-Fetch-Mode: navigate", form) == refused
    # Of a browser that tells nothing of the page, the declared type alone gives it away.
    for kind in (text, form, "Accept: */*", "Content-Type: nonsense"):
        answer = await _send(gateway, "POST", execute, kind, body=task)
        assert (answer.status, "Content-Type: application/json" in answer.error["detail"]) == (422, True)
    assert await _threads(gateway) == 1
    runs = (await gateway.http.get(f"/api/agent/{thread_id}/runs")).json()["items"]
    assert [(run["run_id"], run["status"]) for run in runs] == [(run_id, "pending")]


async def test_a_page_of_another_origin_opens_no_stream_and_a_link_to_here_works(
    start_gateway: StartGateway, redis_url: str
) -> None:
    gateway = await start_gateway(redis_url)
    thread_id = await gateway.new_thread()
    stream = f"/api/agent/{thread_id}/stream"
    for page in (_EVIL, _NULL, _CROSS_SITE):
        assert await _refusal(gateway, "GET", stream, page) == (403, "origin_not_allowed")
    link = (_CROSS_SITE, "Sec-Fetch-Mode: navigate")
    assert (await _send(gateway, "GET", f"/api/agent/{thread_id}", *link)).status == 200


async def test_listed_pages_pass_and_may_read_why_others_do_not(start_gateway: StartGateway, redis_url: str) -> None:
    gateway = await start_gateway(redis_url, CORS__ALLOW_ORIGINS="https://app.example")
    page = "Origin: https://app.example"
    preflight = await _send(
        gateway, "OPTIONS", "/api/agent/initiate", page,
        "Access-Control-Request-Method: POST", "Access-Control-Request-Headers: content-type",
    )  # fmt: skip
    assert (preflight.status, preflight.headers["access-control-allow-origin"]) == (200, "https://app.example")
    made = await _send(gateway, "POST", "/api/agent/initiate", page, _CROSS_SITE, _JSON, body=b"{}")
    assert (made.status, "thread_id" in json.loads(made.body)) == (200, True)
    refused = await _send(gateway, "POST", "/api/agent/initiate", page, _JSON, host="baud.example", body=b"{}")
    assert (refused.status, refused.headers["access-control-allow-origin"]) == (421, "https://app.example")


async def test_a_name_behind_a_proxy_on_this_machine_has_to_be_allowed(
    start_gateway: StartGateway, redis_url: str
) -> None:
    gateway = await start_gateway(redis_url, GATEWAY__ALLOWED_HOSTS="baud.example,*.baud.example")
    for host in ("baud.example", "eu.baud.example:443", f"127.0.0.1:{gateway.port}"):
        own = f"Origin: https://{host}"
        assert (await _send(gateway, "POST", "/api/agent/initiate", own, _JSON, host=host, body=b"{}")).status == 200
    answer = await _send(gateway, "GET", "/api/agent/threads", host="other.example")
    assert answer.status == 421
    assert "'other.example'" in answer.error["detail"]
    assert "gateway.allowed_hosts" in answer.error["detail"]


async def test_what_counts_is_the_address_that_the_gateway_really_listens_on(redis_url: str) -> None:
    async with _started(redis_url, "--host", "localhost", GATEWAY__HOST="0.0.0.0") as gateway:
        assert (await _refusal(gateway, "GET", "/api/agent/threads", host="baud.example"))[0] == 421
    everywhere = {"AUTH__ANONYMOUS_NETWORK": "true"}
    async with _started(redis_url, "--host", "0.0.0.0", **everywhere) as gateway:
        assert (await _send(gateway, "GET", "/api/agent/threads", host="baud.example")).status == 200
        assert await _refusal(gateway, "POST", "/api/agent/initiate", _EVIL) == (403, "origin_not_allowed")
        answer = await _send(gateway, "POST", "/api/agent/initiate", "Origin: http://baud.example", host="baud.example")
        assert answer.status == 200
    everywhere["GATEWAY__ALLOWED_HOSTS"] = "baud.example"
    async with _started(redis_url, "--host", "0.0.0.0", **everywhere) as gateway:
        assert (await _send(gateway, "GET", "/api/agent/threads", host="baud.example")).status == 200
        assert (await _refusal(gateway, "GET", "/api/agent/threads", host="localhost"))[0] == 421
        assert (await _send(gateway, "GET", "/live", host="10.1.2.3")).status == 200
