"""`python -m benchmarks.modem_without_journal`: a worker that only sends events, for comparison.

Its runs have no lease to lose, no token and sequence to check, and no conversation and state that another worker could
go on with: each write is the entries, the stream's time to live and the notification, in a plain pipeline.
"""

import sys
from collections.abc import Sequence

from modem.core.main import run_modem
from modem.service import runtime
from shared.contract.event import TASK_EVENT
from shared.contract.message import ChatMessage
from shared.contract.run import RunRecord
from shared.store.connection import StoreConnection
from shared.store.redis.round_trips import SharedRoundTrips
from shared.store.run_values import RunWrite
from shared.store.runs import RunStore


class PlainRunStore(RunStore):
    """Claims and ends runs like its parent, once per run; writes between are neither fenced nor kept for a takeover."""

    def __init__(self, connection: StoreConnection, *, ttl_seconds: int, max_length: int) -> None:
        super().__init__(connection, ttl_seconds=ttl_seconds, max_length=max_length)
        self._plain_trips = SharedRoundTrips(self._exchange)  # shared, as those of the parent are

    async def append(self, run: RunRecord, write: RunWrite) -> None:
        """Send the events."""
        if write.events:
            await self._plain_trips.send([(run, write)])

    async def _exchange(self, writes: Sequence[tuple[RunRecord, RunWrite]]) -> Sequence[None]:
        pipe = self._connection.redis.pipeline(transaction=False)
        for run, write in writes:
            keys = self._connection.keys(run.thread_id)
            for data in write.events:
                fields = {"event": TASK_EVENT, "data": data, "run_id": run.run_id}
                pipe.xadd(keys.stream, fields, maxlen=self._max_length or None)
            pipe.expire(keys.stream, self._ttl)
            pipe.publish(keys.channel, b"")
        await pipe.execute()
        return [None] * len(writes)

    async def take_steering(self, run: RunRecord, *, nonce: str) -> list[ChatMessage]:
        """Return nothing: steering is not supported."""
        return []


if __name__ == "__main__":
    runtime.RunStore = PlainRunStore  # type: ignore[attr-defined, assignment]  # the one seam that only this benchmark needs
    sys.exit(run_modem())
