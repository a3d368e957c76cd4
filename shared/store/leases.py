"""Leases of runs: renewed by their owner, released, and found by reapers when they expired."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, StrEnum
from typing import Final

from pydantic_core import from_json, to_json

from shared.clock import isoformat
from shared.contract.run import Question, RunJob, RunRecord, RunStatus
from shared.errors import StoreUnavailableError, UnreadableRecordError
from shared.keys import OPEN_RUNS_INDEX
from shared.store.connection import StoreConnection
from shared.store.redis.errors import redis_errors
from shared.store.redis.scripts import ScriptCall

_log = logging.getLogger(__name__)

# The prefix of an index member that is a JSON list of both ids.
_JSON_MEMBER: Final = '["'
# The published job usually comes first; this check is for a job that the broker loses.
ANSWERED_CHECK_SECONDS: Final = 1.0


class RenewalOutcome(StrEnum):
    """The result of a renewal."""

    HELD = "held"  # the lease goes on
    CANCEL_ASKED = "cancel asked"  # it goes on, and somebody wants the run to stop
    LOST = "lost"  # another worker owns the run, or it has ended
    UNKNOWN = "unknown"  # the server that has the run did not answer


@dataclass(frozen=True, slots=True)
class OpenRun:
    """What a reaper needs to know of a run; `lease_left_seconds` is 0 or less without a lease.

    `queued_after` is the thread's active run, if that is another.
    """

    job: RunJob
    status: RunStatus
    is_active: bool
    is_cancel_requested: bool
    lease_left_seconds: float
    question: Question | None = None
    queued_after: str | None = None


class Unreachable(Enum):
    """Why the state of a run is not known now."""

    UNREACHABLE = "unreachable"  # the server that has the run did not answer
    UNREADABLE = "unreadable"  # the stored run cannot be read


UNREACHABLE: Final = Unreachable.UNREACHABLE
UNREADABLE: Final = Unreachable.UNREADABLE


class LeaseStore:
    """Every method raises StoreUnavailableError when Redis does not answer."""

    def __init__(self, connection: StoreConnection) -> None:
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
        """Release a run, so that it can be claimed at once; False when it was no longer this owner's."""
        released = await self._connection.call("release_run", self._keys(run.thread_id, run.run_id), [run.token])
        return released is not None

    async def ping(self) -> None:
        """Return when Redis can be asked for open runs."""
        with redis_errors():
            await self._redis.exists(OPEN_RUNS_INDEX)

    async def schedule_check(self, job: RunJob, *, due_in_seconds: float) -> None:
        """Schedule a reaper's check of a run, unless it is rescheduled before."""
        await self._connection.call("watch_run", [OPEN_RUNS_INDEX], [open_run_member(job), _ms(due_in_seconds)])

    async def schedule_question_check(self, job: RunJob, *, due_in_seconds: float) -> None:
        """Schedule a reaper's check of a waiting run for when its question expires; soon if it is answered already.

        An answer that comes later schedules a check itself.
        """
        await self.schedule_check(job, due_in_seconds=due_in_seconds)
        [found] = await self.inspect([job])
        if isinstance(found, OpenRun) and found.status is not RunStatus.WAITING:
            await self.schedule_check(job, due_in_seconds=ANSWERED_CHECK_SECONDS)

    async def forget(self, job: RunJob) -> None:
        """Remove a run that has ended from the index of open runs."""
        with redis_errors():
            # The second is the member as earlier versions wrote it.
            await self._redis.zrem(OPEN_RUNS_INDEX, open_run_member(job), f"{job.thread_id} {job.run_id}")

    async def take_due(self, *, limit: int, hold_seconds: float) -> list[RunJob]:
        """Take runs that are due; no other reaper gets them for `hold_seconds`."""
        due = await self._connection.call("take_due", [OPEN_RUNS_INDEX], [limit, _ms(hold_seconds)])
        jobs = {member: _job(member) for member in due}
        strays = [member for member, job in jobs.items() if job is None]
        if strays:
            _log.error("%d entries of the index of open runs name no run; they are removed", len(strays))
            with redis_errors():
                await self._redis.zrem(OPEN_RUNS_INDEX, *strays)
        return [job for job in jobs.values() if job is not None]

    async def inspect(self, jobs: Sequence[RunJob]) -> list[OpenRun | Unreachable | None]:
        """Return the present state of runs; None for one that is gone or has ended."""
        found = await self._connection.call_each(
            [ScriptCall("look_run", self._keys(job.thread_id, job.run_id), []) for job in jobs]
        )
        return [_inspected(job, run) for job, run in zip(jobs, found, strict=True)]

    def _keys(self, thread_id: str, run_id: str) -> list[str]:
        keys = self._connection.keys(thread_id)
        return [*keys.shared, keys.run(run_id)]


def _renewal(outcome: bytes | StoreUnavailableError | UnreadableRecordError | None) -> RenewalOutcome:
    if isinstance(outcome, StoreUnavailableError):
        return RenewalOutcome.UNKNOWN
    if outcome is None or isinstance(outcome, UnreadableRecordError):
        return RenewalOutcome.LOST
    return RenewalOutcome.CANCEL_ASKED if outcome else RenewalOutcome.HELD


_Found = tuple[bytes | None, bytes | None, bytes, bytes, bytes | None, int]


def _inspected(
    job: RunJob, found: _Found | StoreUnavailableError | UnreadableRecordError
) -> OpenRun | Unreachable | None:
    if isinstance(found, StoreUnavailableError):
        return UNREACHABLE
    if isinstance(found, UnreadableRecordError):
        return UNREADABLE
    try:
        return _open_run(job, found)
    except ValueError:
        return UNREADABLE


def _open_run(job: RunJob, found: _Found) -> OpenRun | None:
    """Return the present state of a run; raises ValueError."""
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
        lease_left_seconds=(to_number(lease_until) - now_ms) / 1000,
        question=_question(waiting) if status == b"waiting" else None,
        queued_after=None if is_active else active_run_id,
    )


def _question(waiting: bytes | None) -> Question:
    question = Question.model_validate_json(waiting or b"")
    if question.expires_at is not None:
        isoformat(datetime.fromisoformat(question.expires_at))
    return question


def to_number(text: bytes | float | None) -> float:
    """Return a field of a record as a number; 0 if it is none, as in the scripts."""
    try:
        found = float(text or 0)
    except ValueError:
        return 0.0
    return found if abs(found) < 2**53 else 0.0  # false for NaN, too


def _ms(seconds: float) -> int:
    return int(seconds * 1000)


def open_run_member(job: RunJob) -> str:
    """Return the member of a run in the index of open runs."""
    plain = f"{job.thread_id} {job.run_id}"
    # Ids of legacy producers may hold spaces, so that a space cannot separate them.
    is_plain = plain.count(" ") == 1 and not plain.startswith(_JSON_MEMBER)
    return plain if is_plain else to_json([job.thread_id, job.run_id]).decode()


def _job(member: bytes) -> RunJob | None:
    try:
        text = member.decode()
        if text.startswith(_JSON_MEMBER):
            thread_id, run_id = from_json(text)
        else:
            thread_id, _, run_id = text.rpartition(" ")
        return RunJob(thread_id=thread_id, run_id=run_id)
    except ValueError:
        return None
