"""Stream tickets as a browser uses them: in the URL, again at every reconnect, and for nothing else."""

import json
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from redis.asyncio import Redis
from websockets.exceptions import InvalidStatus

from shared.contract.principal import ALL_SCOPES, Principal, Scope
from tests.documented import served_routes
from tests.integration.fake_worker import open_worker
from tests.integration.gateway_with_keys import GatewayWithKeys, Keys, pass_time, serve_with_keys
from tests.integration.redis_process import RedisProcess

_READ_RUN: Final = frozenset({Scope.READ, Scope.RUN})
_TEXTS: Final = tuple(f"text {number}" for number in range(6))
_INVALID: Final = (401, "invalid_credential")


def _keys() -> Keys:
    return Keys(
        {
            "alice": Principal("acme", "alice", _READ_RUN, "key:alice"),
            "alice again": Principal("acme", "alice", _READ_RUN, "key:alice again"),
            "short": Principal("acme", "alice", _READ_RUN, "key:short"),
            "reader": Principal("acme", "alice", frozenset({Scope.READ}), "key:reader"),
            "no reader": Principal("acme", "alice", frozenset({Scope.RUN}), "key:no reader"),
            "bob": Principal("acme", "bob", _READ_RUN, "key:bob"),
            "service": Principal("acme", "shop", _READ_RUN | {Scope.ACT_FOR_OTHERS}, "key:service"),
            "admin": Principal("acme", "root", ALL_SCOPES, "key:admin"),
            "evil": Principal("evil", "alice", ALL_SCOPES, "key:evil"),
        }
    )


@pytest.fixture
def keys() -> Keys:
    return _keys()


@pytest.fixture
async def gateway(redis_url: str, tmp_path: Path, keys: Keys) -> AsyncIterator[GatewayWithKeys]:
    async with serve_with_keys(redis_url, tmp_path, keys) as served:
        yield served


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Any]:
    async with Redis.from_url(redis_url) as client:
        yield client


async def _ids(answer: httpx.Response, count: int) -> list[str]:
    """Read so many ids of a stream, as an EventSource notes them."""
    ids: list[str] = []
    async for line in answer.aiter_lines():
        if line.startswith("id: "):
            ids.append(line.removeprefix("id: "))
        if len(ids) == count:
            break
    return ids


async def _command(gateway: GatewayWithKeys, thread_id: str, ticket: str, **message: object) -> dict[str, Any]:
    async with gateway.socket(thread_id, ticket) as socket:
        await socket.send(json.dumps({"request_id": "q", **message}))
        while True:
            answer: dict[str, Any] = json.loads(await socket.recv())
            if answer["data"].get("request_id") == "q":
                return answer


async def test_an_event_source_connects_again_with_its_url_and_misses_nothing(
    gateway: GatewayWithKeys, redis_url: str, tmp_path: Path, keys: Keys, redis: Any
) -> None:
    thread_id = await gateway.new_thread("alice")
    run_id = await gateway.execute("alice", thread_id)
    url = f"/api/agent/{thread_id}/stream?ticket={await gateway.ticket('alice', thread_id)}"
    async with open_worker(redis_url) as worker, serve_with_keys(redis_url, tmp_path, keys) as other:
        await worker.do(thread_id, run_id, *_TEXTS)
        wanted = await worker.logged_ids(thread_id)
        seen: list[str] = []
        for served in (gateway, gateway, other):  # a replica knows the ticket as well
            headers = {"Last-Event-ID": seen[-1]} if seen else {}
            async with served.http.stream("GET", url, headers=headers) as answer:
                assert answer.status_code == 200, await answer.aread()
                seen += await _ids(answer, 2)
            await pass_time(redis, 290)
    assert seen == wanted[: len(seen)]
    assert len(seen) == 6


async def test_a_ticket_ends_when_nobody_uses_it(gateway: GatewayWithKeys, redis: Any) -> None:
    thread_id = await gateway.new_thread("alice")
    path = f"/api/agent/{thread_id}/stream"
    unused, used = await gateway.ticket("alice", thread_id), await gateway.ticket("alice", thread_id)
    await pass_time(redis, 59)
    assert (await gateway.status(path, ticket=used))[0] == 200
    await pass_time(redis, 2)
    assert await gateway.status(path, ticket=unused) == _INVALID
    await pass_time(redis, 299)
    assert await gateway.status(path, ticket=used) == _INVALID


async def test_the_ticket_of_an_open_stream_stays_valid_up_to_an_hour(gateway: GatewayWithKeys, redis: Any) -> None:
    thread_id = await gateway.new_thread("alice")
    path = f"/api/agent/{thread_id}/stream"
    ticket, idle = await gateway.ticket("alice", thread_id), await gateway.ticket("alice", thread_id)
    assert (await gateway.status(path, ticket=idle))[0] == 200
    async with gateway.http.stream("GET", path, params={"ticket": ticket}) as answer:
        lines = answer.aiter_lines()
        assert "event: waiting" in [await anext(lines) for _ in range(4)]  # the stream has begun
        for _ in range(12):
            gateway.clock.advance(290)
            await pass_time(redis, 290)
            await gateway.services.tickets.renew()
    assert (await gateway.status(path, ticket=ticket))[0] == 200
    assert await gateway.status(path, ticket=idle) == _INVALID
    await pass_time(redis, 130)
    assert await gateway.status(path, ticket=ticket) == _INVALID


async def test_every_stream_of_the_thread_takes_its_ticket_and_nothing_else_does(gateway: GatewayWithKeys) -> None:
    thread_id = await gateway.new_thread("alice")
    ids = {"thread_id": thread_id, "run_id": await gateway.execute("alice", thread_id), "user": "u", "key_id": "k"}
    ticket = await gateway.ticket("alice", thread_id)
    query = {"ticket": ticket, "flowUuid": thread_id, "flowInputUuid": "input"}
    taken, open_to_all = set[str](), set[str]()
    for method, path in served_routes():
        if method == "WS":
            async with gateway.socket(thread_id, ticket):
                taken.add(f"{method} {path}")
            continue
        async with gateway.http.stream(method, path.format_map(ids), params=query) as answer:
            if answer.status_code != 401:
                (open_to_all if path in ("/live", "/ready", "/health") else taken).add(f"{method} {path}")
    assert taken == {
        "GET /api/agent/{thread_id}/stream",
        "GET /api/agent/{thread_id}/runs/{run_id}/stream",
        "GET /agent/event-stream",
        "WS /ws/agent/{thread_id}",
    }
    assert len(open_to_all) == 6


async def test_a_ticket_is_good_for_its_thread_only(gateway: GatewayWithKeys) -> None:
    mine, other = await gateway.new_thread("alice"), await gateway.new_thread("alice")
    run_id = await gateway.execute("alice", other)
    ticket = await gateway.ticket("alice", mine)
    assert await gateway.status(f"/api/agent/{other}/stream", ticket=ticket) == _INVALID
    assert await gateway.status(f"/api/agent/{other}/runs/{run_id}/stream", ticket=ticket) == _INVALID
    assert (await gateway.status(f"/api/agent/{mine}/runs/{run_id}/stream", ticket=ticket))[0] == 404
    legacy = f"/agent/event-stream?flowInputUuid=input&ticket={ticket}"
    for flows, status in ((f"&flowUuid={other}", 401), (f"&flowUuid={mine}&flowUuid={other}", 401), ("", 401)):
        assert (await gateway.http.get(legacy + flows)).status_code == status
    bobs = await gateway.new_thread("bob")
    assert (await gateway.status(f"{legacy}&flowUuid={bobs}&flowUuid={mine}"))[0] == 200, "the route takes the last too"
    with pytest.raises(InvalidStatus) as refused:
        async with gateway.socket(other, ticket):
            pass
    assert refused.value.response.status_code == 401


@pytest.mark.parametrize("ticket", ["x", "x" * 43, "x" * 5000, "..", "\u00e9" * 43, "baud_0000", " ", "a&ticket="])
async def test_what_is_no_ticket_is_refused(gateway: GatewayWithKeys, ticket: str) -> None:
    thread_id = await gateway.new_thread("alice")
    assert await gateway.status(f"/api/agent/{thread_id}/stream", ticket=ticket) == _INVALID
    assert await gateway.status(f"/api/agent/{thread_id}/stream", ticket="") == (401, "unauthenticated")


async def test_a_header_goes_before_a_ticket(gateway: GatewayWithKeys) -> None:
    thread_id = await gateway.new_thread("alice")
    url = f"/api/agent/{thread_id}/stream?ticket={await gateway.ticket('alice', thread_id)}"
    for header in ("Bearer nobody's", "Basic YTpi", ""):
        assert (await gateway.http.get(url, headers={"Authorization": header})).status_code == 401
    assert (await gateway.http.get(url, headers={"Authorization": "Bearer evil"})).status_code == 404


async def test_tickets_are_issued_for_threads_that_may_be_read(gateway: GatewayWithKeys) -> None:
    thread_id = await gateway.new_thread("alice")
    for key, asked, status, code in (
        ("bob", thread_id, 404, "thread_not_found"),
        ("evil", thread_id, 404, "thread_not_found"),
        ("alice", "unknown", 404, "thread_not_found"),
        ("alice", "a:b", 404, "thread_not_found"),
        ("no reader", thread_id, 403, "missing_scope"),
        ("alice", 7, 422, "invalid_request"),
    ):
        answer = await gateway.post("/api/stream-tickets", key, thread_id=asked)
        assert (answer.status_code, answer.json()["code"]) == (status, code), key
    answer = await gateway.post("/api/stream-tickets", "reader", thread_id=thread_id)
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
    assert answer.json()["expires_at"].startswith("2026-01-02T03:05:05")  # a minute from now


async def test_a_thread_that_is_not_shared_any_more_is_closed_to_tickets_too(gateway: GatewayWithKeys) -> None:
    thread_id = await gateway.new_thread("alice")
    share, headers = f"/api/agent/{thread_id}/shares/bob", {"Authorization": "Bearer alice"}
    assert (await gateway.http.put(share, json={"role": "viewer"}, headers=headers)).status_code == 200
    ticket = await gateway.ticket("bob", thread_id)
    assert (await gateway.status(f"/api/agent/{thread_id}/stream", ticket=ticket))[0] == 200
    assert (await gateway.http.delete(share, headers=headers)).status_code == 200
    assert await gateway.status(f"/api/agent/{thread_id}/stream", ticket=ticket) == (404, "thread_not_found")


async def test_the_tickets_and_streams_of_a_revoked_key_end_and_no_others(gateway: GatewayWithKeys, keys: Keys) -> None:
    thread_id = await gateway.new_thread("alice")
    path = f"/api/agent/{thread_id}/stream"
    ticket, other = await gateway.ticket("alice", thread_id), await gateway.ticket("alice again", thread_id)
    async with AsyncExitStack() as stack:
        open_streams = [
            (await stack.enter_async_context(gateway.http.stream("GET", path, params={"ticket": each}))).aiter_lines()
            for each in (ticket, ticket, other)
        ]
        socket = await stack.enter_async_context(gateway.socket(thread_id, ticket))
        for lines in open_streams:
            assert "event: waiting" in [await anext(lines) for _ in range(4)]
        assert json.loads(await socket.recv())["event"] == "waiting"
        keys.revoked.add("key:alice")
        await gateway.watch.check()
        for lines in open_streams[:2]:
            assert '"error_type":"unauthenticated"' in "".join([line async for line in lines])
        await socket.wait_closed()
        assert socket.close_code == 4401
        gateway.clock.advance(5)  # what was seen valid is asked for again
        assert await gateway.status(path, ticket=ticket) == _INVALID
        assert (await gateway.status(path, ticket=other))[0] == 200


async def test_a_ticket_ends_with_its_credential(gateway: GatewayWithKeys, keys: Keys) -> None:
    thread_id = await gateway.new_thread("alice")
    path = f"/api/agent/{thread_id}/stream"
    keys.principals["short"] = replace(keys.principals["short"], expires_at=gateway.clock.now().timestamp() + 30)
    answer = await gateway.post("/api/stream-tickets", "short", thread_id=thread_id)
    assert answer.json()["expires_at"].startswith("2026-01-02T03:04:35")
    ticket = answer.json()["ticket"]
    async with gateway.http.stream("GET", path, params={"ticket": ticket}) as stream:
        lines = stream.aiter_lines()
        assert "event: waiting" in [await anext(lines) for _ in range(4)]
        gateway.clock.advance(31)
        assert await gateway.status(path, ticket=ticket) == _INVALID
        await gateway.watch.check()
        assert '"error_type":"unauthenticated"' in "".join([line async for line in lines])


async def test_while_the_database_is_away_a_ticket_seen_valid_is_accepted_for_a_minute(
    gateway: GatewayWithKeys, keys: Keys
) -> None:
    thread_id = await gateway.new_thread("alice")
    path = f"/api/agent/{thread_id}/stream"
    seen, unseen = await gateway.ticket("alice", thread_id), await gateway.ticket("reader", thread_id)
    assert (await gateway.status(path, ticket=seen))[0] == 200
    keys.is_away = True
    gateway.clock.advance(50)
    assert (await gateway.status(path, ticket=seen))[0] == 200
    assert await gateway.status(path, ticket=unseen) == (503, "database_unavailable")
    gateway.clock.advance(11)
    assert await gateway.status(path, ticket=seen) == (503, "database_unavailable")


async def test_without_redis_tickets_are_neither_issued_nor_taken(tmp_path: Path, keys: Keys) -> None:
    redis = RedisProcess()
    redis.start()
    try:
        async with serve_with_keys(redis.url, tmp_path, keys) as gateway:
            thread_id = await gateway.new_thread("alice")
            ticket = await gateway.ticket("alice", thread_id)
            redis.stop()
            answer = await gateway.http.get(f"/api/agent/{thread_id}/stream", params={"ticket": ticket})
            assert (answer.status_code, answer.json()["code"]) == (503, "redis_unavailable")
            assert "retry-after" in answer.headers
            answer = await gateway.post("/api/stream-tickets", "alice", thread_id=thread_id)
            assert answer.status_code == 503
    finally:
        redis.stop()


@pytest.mark.parametrize(
    ("key", "named", "error"),
    [
        ("alice", {}, None),
        ("reader", {}, "missing_scope"),
        ("admin", {}, None),
        ("service", {}, "missing_scope"),
        ("service", {"user_uuid": "alice"}, None),
    ],
    ids=["who may run", "who may not", "an admin", "a service", "a service for the page's user"],
)
async def test_commands_by_a_ticket(
    gateway: GatewayWithKeys, key: str, named: dict[str, str], error: str | None
) -> None:
    thread_id = await gateway.new_thread("alice")
    ticket = await gateway.ticket(key, thread_id, **named)
    assert (await gateway.status(f"/api/agent/{thread_id}/stream", ticket=ticket))[0] == 200
    answer = await _command(gateway, thread_id, ticket, type="execute", task="a task")
    assert (answer["event"], answer["data"].get("error_type")) == ("error" if error else "ack", error)
    answer = await _command(gateway, thread_id, ticket, type="execute", task="a task", user_uuid="mallory")
    assert answer["data"]["error_type"] == "missing_scope"


async def test_only_who_acts_for_others_may_name_the_user_of_a_ticket(gateway: GatewayWithKeys) -> None:
    thread_id = await gateway.new_thread("alice")
    for key, user, status in (("alice", "bob", 403), ("alice", "alice", 200), ("service", "bob", 404)):
        answer = await gateway.post("/api/stream-tickets", key, thread_id=thread_id, user_uuid=user)
        assert answer.status_code == status


async def test_the_text_of_a_ticket_is_in_no_log_and_not_in_redis(
    gateway: GatewayWithKeys, redis: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    thread_id, other = await gateway.new_thread("alice"), await gateway.new_thread("alice")
    ticket = await gateway.ticket("alice", thread_id)
    await gateway.status(f"/api/agent/{thread_id}/stream", ticket=ticket)
    await gateway.status(f"/api/agent/{other}/stream", ticket=ticket)
    await gateway.status("/api/agent/threads", ticket=ticket)
    await _command(gateway, thread_id, ticket, type="ping")
    ours = [record for record in caplog.records if record.name.startswith(("gateway", "shared", "uvicorn"))]
    assert any(record.getMessage() == "request" for record in ours)
    assert [record for record in ours if ticket in repr(record.__dict__)] == []
    keys = await redis.keys("ticket*")
    assert len(keys) == 2
    content = [await redis.hgetall(key) for key in keys if key.startswith(b"ticket:")]
    assert ticket not in repr((keys, content))


async def test_where_nobody_is_asked_who_they_are_a_page_may_do_as_everywhere(
    redis_url: str, tmp_path: Path, redis: Any
) -> None:
    async with serve_with_keys(redis_url, tmp_path, None) as gateway:
        thread_id = (await gateway.http.post("/api/agent/initiate")).json()["thread_id"]
        ticket = (await gateway.http.post("/api/stream-tickets", json={"thread_id": thread_id})).json()["ticket"]
        for presented in (ticket, "nonsense", ""):
            assert (await gateway.status(f"/api/agent/{thread_id}/stream", ticket=presented))[0] == 200
        answer = await gateway.http.post("/api/stream-tickets", json={"thread_id": "unknown"})
        assert answer.status_code == 404
    assert await redis.keys("ticket*") == [], "nobody looks at them"
