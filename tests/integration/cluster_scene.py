"""The stores on a real Redis Cluster, with a thread for each name of THREADS."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from shared.clock import isoformat
from shared.config import RedisConfig
from shared.contract.api import OnBusy
from shared.contract.run import RunRecord
from shared.store.cluster.connection import ClusterConnection
from shared.store.cluster.notifications import ClusterNotifications
from shared.store.connection import open_connection
from shared.store.events import EventStore
from shared.store.leases import LeaseStore
from shared.store.run_values import Claim, RunWrite
from shared.store.runs import RunStore
from shared.store.threads import ThreadStore
from tests.fakes.fake_clock import FakeClock
from tests.integration.cluster_processes import ClusterProcesses
from tests.integration.redis_process import RedisProcess
from tests.integration.store_scene import event_of

# Two on each node.
THREADS: Final = ("a", "b", "c", "d", "f", "g")
TTL: Final = 1000


@dataclass(frozen=True, slots=True)
class Scene:
    """The stores on the cluster."""

    processes: ClusterProcesses
    connection: ClusterConnection
    threads: ThreadStore
    runs: RunStore
    events: EventStore
    leases: LeaseStore

    def stream(self, thread_id: str) -> str:
        return self.connection.keys(thread_id).stream

    def node_of(self, thread_id: str) -> RedisProcess:
        return self.processes.node_of(self.stream(thread_id))

    def notifications(self, *, dead_after_seconds: float) -> ClusterNotifications:
        return ClusterNotifications(self.connection.redis.map, dead_after_seconds=dead_after_seconds)

    async def claim(self, thread_id: str) -> Claim:
        """Submit and claim the run `r-{thread_id}` of a thread."""
        run = RunRecord(
            run_id=f"r-{thread_id}", thread_id=thread_id, task="tea", created_at=isoformat(FakeClock().now())
        )
        await self.runs.submit(run, on_busy=OnBusy.QUEUE)
        claim = await self.runs.claim(thread_id, run.run_id, owner="w", claim_id="c", lease_seconds=600)
        assert claim is not None
        return claim

    async def write(self, claim: Claim, sequence: int) -> None:
        await self.runs.append(claim.run, RunWrite(sequence, events=[event_of("assistant_response", f'"{sequence}"')]))

    async def count_entries(self, thread_ids: Sequence[str]) -> dict[str, int]:
        """Return how many events each thread's log holds, in one read."""
        found = await self.events.read_after({self.stream(thread_id): "0-0" for thread_id in thread_ids}, limit=100)
        return {thread_id: len(found.get(self.stream(thread_id), ())) for thread_id in thread_ids}


def config(url: str) -> RedisConfig:
    return RedisConfig.model_validate({"url": url, "cluster": True, "command_timeout": 1.0, "connect_timeout": 1.0})


@asynccontextmanager
async def open_scene(processes: ClusterProcesses) -> AsyncIterator[Scene]:
    connection = open_connection(config(processes.url), retries=1)
    assert isinstance(connection, ClusterConnection)
    threads = ThreadStore(connection, ttl_seconds=TTL)
    for thread_id in THREADS:
        await threads.create(thread_id)
    runs = RunStore(connection, ttl_seconds=TTL, max_length=0)
    yield Scene(processes, connection, threads, runs, EventStore(connection), LeaseStore(connection))
    await connection.aclose()
