"""Does to the store what a modem does: claims runs, writes their events, ends them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from redis.asyncio import Redis

from shared.contract.event import AgentExecuteData, ExecuteState, ExecuteType
from shared.contract.run import RunRecord, RunStatus, StopReason, Usage
from shared.ids import new_id
from shared.store.redis.connection import Connection
from shared.store.run_values import Ended, RunEnd, RunWrite
from shared.store.runs import RunStore
from shared.store.workers import WorkerStore

_TIME = "2026-01-01T00:00:00.000000+00:00"


class FakeWorker:
    """Writes runs as their owner."""

    def __init__(self, redis: Redis) -> None:
        self.connection = Connection(redis)
        self.runs = RunStore(self.connection, ttl_seconds=3600, max_length=0)
        self.workers = WorkerStore(self.connection)
        self._sequence = 0

    async def claim(self, thread_id: str, run_id: str) -> RunRecord:
        claim = await self.runs.claim(thread_id, run_id, owner="worker", claim_id=new_id(), lease_seconds=60)
        assert claim is not None
        return claim.run

    async def write(self, run: RunRecord, *texts: str) -> None:
        """Append one assistant_response for each text, in one write."""
        self._sequence += 1
        events = [_event(run, ExecuteType.ASSISTANT_RESPONSE, text) for text in texts]
        await self.runs.append(run, RunWrite(self._sequence, events=events))

    async def finish(self, run: RunRecord) -> Ended:
        event = _event(run, ExecuteType.FLOW_COMPLETION, "")
        ended = await self.runs.finish(run, RunEnd(RunStatus.COMPLETED, StopReason.COMPLETED, "", Usage(), event))
        assert ended is not None, "the run has steering text"
        return ended

    async def do(self, thread_id: str, run_id: str, *texts: str) -> Ended:
        """Claim a run, write the texts one by one, and end it."""
        run = await self.claim(thread_id, run_id)
        for text in texts:
            await self.write(run, text)
        return await self.finish(run)

    async def logged_ids(self, thread_id: str) -> list[str]:
        """Return the ids of all that the thread's log holds."""
        entries = await self.connection.redis.xrange(self.connection.keys(thread_id).stream)
        return [entry_id.decode() for entry_id, _ in entries]


def _event(run: RunRecord, execute_type: str, text: str) -> bytes:
    return AgentExecuteData(
        uuid=new_id(),
        thread_id=run.thread_id,
        run_id=run.run_id,
        create_at=_TIME,
        modify_at=_TIME,
        current_state=ExecuteState.COMPLETE,
        execute_type=execute_type,
        execute_result={f"{execute_type}_result": text},
    ).to_json()


@asynccontextmanager
async def open_worker(redis_url: str) -> AsyncIterator[FakeWorker]:
    """Yield a worker with a connection of its own."""
    async with Redis.from_url(redis_url) as redis:
        yield FakeWorker(redis)
