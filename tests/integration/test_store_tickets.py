"""Stream tickets in a real Redis: how long one lives, what it is good for, and how many a user has."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from shared.config import RedisConfig
from shared.contract.principal import Principal, Scope
from shared.keys import user_tickets
from shared.store.redis.connection import Connection, open_redis
from shared.store.tickets import TicketKey, TicketLimits, TicketStore
from tests.integration.gateway_with_keys import pass_time

_LIMITS = TicketLimits(unused_seconds=60, idle_seconds=300, total_seconds=3600, most=3)
_ALICE = Principal("acme", "alice", frozenset({Scope.READ, Scope.RUN}), "key:1", expires_at=1e9)
_KEY, _ELSEWHERE = TicketKey("d", "thread"), TicketKey("d", "other")
# No sum of the times below is as long as a limit, so that the milliseconds of the test itself decide nothing.
_TIMES = st.sampled_from([7, 49, 98, 203, 294, 301])


@asynccontextmanager
async def _open(redis_url: str) -> AsyncIterator[Connection]:
    redis = open_redis(RedisConfig(url=SecretStr(redis_url)))
    try:
        yield Connection(redis)
    finally:
        await redis.aclose()


@pytest.fixture
async def connection(redis_url: str) -> AsyncIterator[Connection]:
    async with _open(redis_url) as opened:
        yield opened


async def _issue(store: TicketStore, digest: str, **changes: float) -> float:
    key = TicketKey(digest, "thread")
    return await store.issue(key, _ALICE, _ALICE, total_seconds=changes.get("total_seconds", 1e6))


async def test_a_ticket_says_whose_it_is_for_its_thread_only(connection: Connection) -> None:
    store = TicketStore(connection, _LIMITS)
    await _issue(store, "d")
    assert await store.use(_ELSEWHERE) is None
    assert await store.use(TicketKey("unknown", "thread")) is None
    assert await store.use(_KEY) == _ALICE


async def test_a_ticket_lives_no_longer_than_its_credential(connection: Connection) -> None:
    store = TicketStore(connection, _LIMITS)
    assert await _issue(store, "d") == 60
    assert await _issue(store, "short", total_seconds=20) == 20
    assert await _issue(store, "middle", total_seconds=100) == 60
    for digest, most in (("short", 20_000), ("middle", 100_000)):
        assert await store.use(TicketKey(digest, "thread")) == _ALICE
        assert 0 < await connection.redis.pttl(f"ticket:{digest}") <= most
    assert await _issue(store, "ended", total_seconds=-5) < 0
    assert await store.use(TicketKey("ended", "thread")) is None


async def test_a_renewal_counts_as_a_use_and_brings_nothing_back(connection: Connection) -> None:
    store = TicketStore(connection, _LIMITS)
    await _issue(store, "d")
    gone = TicketKey("gone", "thread")
    await pass_time(connection.redis, 50)
    await store.renew([_KEY, gone, _ELSEWHERE])
    await pass_time(connection.redis, 290)
    assert await store.use(_KEY) == _ALICE
    assert await store.use(gone) is None
    assert await store.use(_ELSEWHERE) is None


async def test_the_oldest_tickets_of_a_user_go_when_there_are_too_many(connection: Connection) -> None:
    store = TicketStore(connection, _LIMITS)
    bob = Principal("acme", "bob", frozenset({Scope.READ}), "key:2")
    await store.issue(TicketKey("bob", "thread"), bob, bob, total_seconds=1e6)
    listed = user_tickets("acme", "alice")
    seconds, _ = await connection.redis.time()
    for number in range(5):
        await _issue(store, str(number))
        # Issued within one millisecond, they would be in the order of their digests.
        await connection.redis.zadd(listed, {str(number): seconds * 1000 - 100 + number})
    valid = [number for number in range(5) if await store.use(TicketKey(str(number), "thread"))]
    assert valid == [2, 3, 4]
    assert await store.use(TicketKey("bob", "thread")) == bob
    assert {key.decode() for key in await connection.redis.keys("ticket*")} == {
        "ticket:2", "ticket:3", "ticket:4", "ticket:bob", listed, user_tickets("acme", "bob")
    }  # fmt: skip
    assert 0 < await connection.redis.ttl(listed) <= 3600


async def test_tickets_that_have_long_ended_are_not_counted(connection: Connection) -> None:
    store = TicketStore(connection, _LIMITS)
    listed = user_tickets("acme", "alice")
    await connection.redis.zadd(listed, dict.fromkeys(["a", "b", "c"], 1000))
    await _issue(store, "d")
    assert await connection.redis.zrange(listed, 0, -1) == [b"d"]


async def test_issuing_again_after_a_lost_answer_changes_nothing(connection: Connection) -> None:
    store = TicketStore(connection, _LIMITS)
    for _ in range(10):
        await _issue(store, "d")
    assert await connection.redis.zcard(user_tickets("acme", "alice")) == 1
    assert await store.use(_KEY) == _ALICE


@pytest.mark.parametrize("principal", [b"", b"{", b'{"tenant": 7}', b"\xff"])
async def test_a_ticket_that_cannot_be_read_is_not_valid(connection: Connection, principal: bytes) -> None:
    store = TicketStore(connection, _LIMITS)
    await _issue(store, "d")
    await connection.redis.hset("ticket:d", "principal", principal)
    assert await store.use(_KEY) is None


_STEP = st.tuples(st.just("pass"), _TIMES) | st.tuples(st.sampled_from(["use", "renew", "elsewhere"]), st.just(0))


@given(st.lists(_STEP, max_size=25))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_ticket_is_valid_as_long_as_its_uses_say(redis_url: str, steps: list[tuple[str, int]]) -> None:
    asyncio.run(_compare_to_model(redis_url, steps))


async def _compare_to_model(redis_url: str, steps: list[tuple[str, int]]) -> None:
    async with _open(redis_url) as connection:
        store = TicketStore(connection, _LIMITS)
        await connection.redis.flushdb()
        await _issue(store, "d")
        now, valid_until = 0, 60
        for step, seconds in steps:
            now += seconds
            is_valid = now < valid_until
            if step == "pass":
                await pass_time(connection.redis, seconds)
            elif step == "elsewhere":
                assert await store.use(_ELSEWHERE) is None
            else:
                if step == "use":
                    assert (await store.use(_KEY) == _ALICE) is is_valid
                else:
                    await store.renew([_KEY])
                if is_valid:
                    valid_until = min(now + 300, 3600)
        assert (await store.use(_KEY) == _ALICE) is (now < valid_until)
