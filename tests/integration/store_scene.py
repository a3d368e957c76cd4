"""The stores on a real Redis, and access to everything that is in it."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from pydantic import SecretStr

from shared.clock import isoformat
from shared.config import RedisConfig
from shared.contract.run import RunRecord, RunStatus, StopReason, Usage
from shared.keys import OPEN_RUNS_INDEX, ThreadKeys
from shared.store.events import EventStore
from shared.store.leases import LeaseStore
from shared.store.redis.connection import Connection, open_redis
from shared.store.run_values import Claim, RunEnd
from shared.store.runs import RunStore
from shared.store.threads import ThreadStore
from tests.fakes.fake_clock import FakeClock

TTL = 1000
LEASE = 60.0


@dataclass(frozen=True, slots=True)
class StoreScene:
    """One thread `t` and the stores to change its runs."""

    redis: Any
    clock: FakeClock
    threads: ThreadStore
    runs: RunStore
    events: EventStore
    leases: LeaseStore
    keys: ThreadKeys

    def run(self, run_id: str, **members: Any) -> RunRecord:
        """Return a new run of the thread."""
        members = {"thread_id": "t", "task": "make tea", "created_at": isoformat(self.clock.now()), **members}
        return RunRecord(run_id=run_id, **members)

    async def claim(self, run_id: str, claim_id: str = "c") -> Claim:
        """Claim a run that can be claimed."""
        claim = await self.runs.claim("t", run_id, owner="w", claim_id=claim_id, lease_seconds=LEASE)
        assert claim is not None
        return claim

    async def everything(self) -> Mapping[bytes, object]:
        """Return all keys of threads, and the list of threads, with all that they hold."""
        return {key: await self._content(key) for key in await self._names()}

    async def lifetimes(self) -> Mapping[str, int]:
        """Return the TTL of each key in seconds; -1 without one.

        Left out is the index of open runs: a reaper removes each run from it that has ended or is gone.
        """
        return {key.decode(): await self.redis.ttl(key) for key in await self._names()}

    async def grow_old(self, seconds: int | None = None) -> None:
        """Reduce the TTL of every key by so many seconds; or to a hundred."""
        for key in await self.redis.keys("*"):
            left = await self.redis.ttl(key)
            if seconds is None or left > 0:
                await self.redis.expire(key, 100 if seconds is None else left - seconds)
        for metadata in await self.redis.keys("thread:*:metadata"):
            await self.redis.hincrby(metadata, "runs_renewed_ms", -1000 * (TTL if seconds is None else seconds))

    async def completions(self, stream: str | None = None) -> list[str]:
        """Return the run ids of the final entries, in order."""
        entries = await self.events.page(stream or self.keys.stream, after="0-0", limit=10_000)
        return [entry.run_id for entry in entries if entry.is_final]

    async def _names(self) -> list[bytes]:
        return sorted(key for key in await self.redis.keys("*") if key.decode() != OPEN_RUNS_INDEX)

    async def _content(self, key: bytes) -> object:
        kind = (await self.redis.type(key)).decode()
        if kind == "hash":
            return await self.redis.hgetall(key)
        if kind == "string":
            return await self.redis.get(key)
        if kind == "list":
            return await self.redis.lrange(key, 0, -1)
        if kind == "zset":
            return await self.redis.zrange(key, 0, -1, withscores=True)
        assert kind == "stream", kind
        return await self.redis.xrange(key)


@asynccontextmanager
async def open_store(redis_url: str, *, max_length: int = 0) -> AsyncIterator[StoreScene]:
    """Open the stores; the thread `t` is there."""
    redis = open_redis(RedisConfig(url=SecretStr(redis_url)))
    connection, clock = Connection(redis), FakeClock()
    try:
        scene = StoreScene(
            redis=connection.redis,
            clock=clock,
            threads=ThreadStore(connection, ttl_seconds=TTL, clock=clock),
            runs=RunStore(connection, ttl_seconds=TTL, max_length=max_length, clock=clock),
            events=EventStore(connection),
            leases=LeaseStore(connection),
            keys=connection.keys("t"),
        )
        await scene.threads.create("t")
        yield scene
    finally:
        await redis.aclose()


def end_of(run_id: str, status: RunStatus = RunStatus.COMPLETED) -> RunEnd:
    """Return an end whose event names the run."""
    return RunEnd(status, StopReason.COMPLETED, "", Usage(steps=1), f"end of {run_id}".encode())


def event_of(execute_type: str, result: str = "{}") -> bytes:
    """Return the data of an event as far as the scripts read it."""
    return f'{{"uuid":"u","run_id":"r","execute_type":"{execute_type}","execute_result":{result}}}'.encode()
