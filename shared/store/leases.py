"""Leases of runs: renewed by their owner, given back, and found by reapers when they ran out."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import Final

from pydantic_core import from_json, to_json

from shared.contract.run import Question, RunJob, RunRecord, RunStatus
from shared.errors import StoreUnavailableError
from shared.keys import OPEN_RUNS_INDEX
from shared.store.connection import Connection, ScriptCall, redis_errors

# How a member of the index begins that is a list of both ids in JSON.
_WRITTEN_OUT: Final = '["'


class RenewalOutcome(StrEnum):
    """What became of a renewal."""

    HELD = "held"  # the lease goes on
    CANCEL_ASKED = "cancel asked"  # it goes on, and somebody wants the run to stop
    LOST = "lost"  # another worker owns the run, or it has ended
    UNKNOWN = "unknown"  # the node of a cluster that has the run did not answer


@dataclass(frozen=True, slots=True)
class OpenRun:
    """What a reaper needs to know of a run; `lease_left_seconds` is 0 or less without a lease.

    `behind` is the thread's active run, if that is another.
    """

    job: RunJob
    status: RunStatus
    is_active: bool
    is_cancel_requested: bool
    lease_left_seconds: float
    question: Question | None = None
    behind: str | None = None


class Unseen(Enum):
    """Stands for a run of which nothing is known now."""

    UNSEEN = "unseen"  # the node of a cluster that has the run did not answer


UNSEEN: Final = Unseen.UNSEEN


class LeaseStore:
    """Every method raises StoreUnavailableError when Redis does not answer."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._redis = connection.redis

    async def renew(
        self, runs: Sequence[RunRecord], *, lease_seconds: float, lasted: frozenset[str] = frozenset()
    ) -> list[RenewalOutcome]:
        """Renew the leases of runs in one round trip; attempts in `lasted` (run ids) no longer count as crashes."""
        milliseconds = _ms(lease_seconds)
        outcomes = await self._connection.call_each(
            [
                ScriptCall(
                    "renew_run",
                    self._keys(run.thread_id, run.run_id),
                    [run.token, milliseconds, int(run.run_id in lasted)],
                )
                for run in runs
            ]
        )
        return [_renewal(outcome) for outcome in outcomes]

    async def release(self, run: RunRecord) -> bool:
        """Give a run back, so that it can be claimed at once; False when it was no longer this owner's."""
        released = await self._connection.call("release_run", self._keys(run.thread_id, run.run_id), [run.token])
        return released is not None

    async def ping(self) -> None:
        """Return when Redis can be asked for open runs."""
        with redis_errors():
            await self._redis.exists(OPEN_RUNS_INDEX)

    async def watch(self, job: RunJob, *, due_in_seconds: float) -> None:
        """Have a reaper look at a run after a while, unless somebody says otherwise before."""
        await self._connection.call("watch_run", [OPEN_RUNS_INDEX], [open_run_member(job), _ms(due_in_seconds)])

    async def forget(self, job: RunJob) -> None:
        """A run has ended: nobody needs to look at it again."""
        with redis_errors():
            # The second is how earlier versions wrote it, whatever its ids.
            await self._redis.zrem(OPEN_RUNS_INDEX, open_run_member(job), f"{job.thread_id} {job.run_id}")

    async def take_due(self, *, limit: int, hold_seconds: float) -> list[RunJob]:
        """Take runs that are due; no other reaper gets them for `hold_seconds`."""
        due = await self._connection.call("take_due", [OPEN_RUNS_INDEX], [limit, _ms(hold_seconds)])
        return [_job(member) for member in due]

    async def look(self, jobs: Sequence[RunJob]) -> list[OpenRun | Unseen | None]:
        """Return how these runs stand now; None for one that is gone or has ended."""
        found = await self._connection.call_each(
            [ScriptCall("look_run", self._keys(job.thread_id, job.run_id), []) for job in jobs]
        )
        return [
            UNSEEN if isinstance(run, StoreUnavailableError) else _open_run(job, run)
            for job, run in zip(jobs, found, strict=True)
        ]

    def _keys(self, thread_id: str, run_id: str) -> list[str]:
        keys = self._connection.keys(thread_id)
        return [*keys.shared, keys.run(run_id)]


def _renewal(outcome: bytes | StoreUnavailableError | None) -> RenewalOutcome:
    if isinstance(outcome, StoreUnavailableError):
        return RenewalOutcome.UNKNOWN
    if outcome is None:
        return RenewalOutcome.LOST
    return RenewalOutcome.CANCEL_ASKED if outcome else RenewalOutcome.HELD


def _open_run(job: RunJob, found: tuple[bytes | None, bytes | None, bytes, bytes, bytes | None, int]) -> OpenRun | None:
    status, lease_until, cancel_requested, waiting, active, now_ms = found
    if status is None or RunStatus(status.decode()).is_terminal:
        return None
    active_run_id = active.decode() if active else None
    is_active = active_run_id == job.run_id
    return OpenRun(
        job=job,
        status=RunStatus(status.decode()),
        is_active=is_active,
        is_cancel_requested=bool(cancel_requested),
        lease_left_seconds=(float(lease_until or 0) - now_ms) / 1000,
        question=Question.model_validate_json(waiting) if waiting else None,
        behind=None if is_active else active_run_id,
    )


def _ms(seconds: float) -> int:
    return int(seconds * 1000)


def open_run_member(job: RunJob) -> str:
    """Return what stands for a run in the index of open runs."""
    plain = f"{job.thread_id} {job.run_id}"
    # Ids of legacy producers may hold spaces, too many to tell where the first one ends.
    is_plain = plain.count(" ") == 1 and not plain.startswith(_WRITTEN_OUT)
    return plain if is_plain else to_json([job.thread_id, job.run_id]).decode()


def _job(member: bytes) -> RunJob:
    text = member.decode()
    if text.startswith(_WRITTEN_OUT):
        thread_id, run_id = from_json(text)
    else:
        thread_id, _, run_id = text.rpartition(" ")
    return RunJob(thread_id=thread_id, run_id=run_id)
