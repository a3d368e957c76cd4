"""The reaper: finds open runs without a worker and publishes their jobs again. Each worker has one, for all runs."""

import asyncio
import logging
from typing import Final

from tenacity import AsyncRetrying, retry_if_exception_type, wait_fixed

from modem.service.end_unreadable import UnreadableRuns
from modem.service.lease.active_runs import ActiveRuns
from modem.service.lease.expire_questions import QuestionExpiry
from modem.service.redis_retry import NOTICE_SECONDS
from shared.broker.publisher import RunPublisher
from shared.config import ModemConfig
from shared.contract.run import Question, RunJob, RunStatus
from shared.errors import StoreUnavailableError, UnreadableRecordError
from shared.store.leases import UNREACHABLE, LeaseStore, OpenRun, Unreachable

_log = logging.getLogger(__name__)

_BATCH: Final = 200
# Between two pings of a Redis that does not answer.
_PING_SECONDS: Final = 0.2
# A lease is checked this long after it can have expired.
_MARGIN_SECONDS: Final = 0.25
# A run that waits for a slot already has a job; publishing it again too often fills the queue.
_PENDING_CHECK_SECONDS: Final = 60.0
# A run that is queued on its thread has no job yet; the job that it gets may be lost.
_QUEUED_CHECK_SECONDS: Final = 10.0


class Reaper:
    """Checks open runs when they are due."""

    def __init__(
        self,
        leases: LeaseStore,
        publisher: RunPublisher,
        config: ModemConfig,
        expiry: QuestionExpiry,
        *,
        unreadable: UnreadableRuns,
        active: ActiveRuns | None = None,
    ) -> None:
        self._unreadable = unreadable
        self._leases = leases
        self._publisher = publisher
        self._config = config
        self._expiry = expiry
        self._active = ActiveRuns() if active is None else active

    async def run(self) -> None:
        """Check until cancelled, several times per lease."""
        while True:
            try:
                await self.inspect_once()
            except StoreUnavailableError:
                _log.warning("the reaper cannot reach Redis")
                await self._wait_for_owners()
            await asyncio.sleep(min(1.0, self._config.lease_seconds / 4))

    async def _wait_for_owners(self) -> None:
        """Wait until Redis is back, and until living workers have had time to renew or release their leases."""
        retrying = AsyncRetrying(retry=retry_if_exception_type(StoreUnavailableError), wait=wait_fixed(_PING_SECONDS))
        await retrying(self._leases.ping)
        await asyncio.sleep(NOTICE_SECONDS)

    async def inspect_once(self) -> int:
        """Check all runs that are due; return how many jobs were published."""
        published = 0
        while True:
            due = await self._leases.take_due(limit=_BATCH, hold_seconds=self._config.lease_seconds)
            for job, found in zip(due, await self._leases.inspect(due), strict=True):
                published += await self._check_safely(job, found)
            if len(due) < _BATCH:
                return published

    async def _check_safely(self, job: RunJob, found: OpenRun | Unreachable | None) -> int:
        """Check one run; a run that cannot be read is ended, without failing the checks of the others."""
        if found is UNREACHABLE:  # it will be due again
            return 0
        try:
            if not isinstance(found, Unreachable):
                return await self._check(job, found)
        except UnreadableRecordError:
            _log.exception("the stored records of run %s cannot be read", job.run_id)
        await self._unreadable.end(job)
        return 0

    async def _answer_if_due(self, job: RunJob, question: Question, *, is_cancelled: bool) -> bool:
        """Answer an expired question, or one of a cancelled run, with the default; return whether the run can go on.

        The next worker ends a cancelled run.
        """
        left_seconds = self._expiry.seconds_left(question)
        if left_seconds > 0 and not is_cancelled:
            await self._leases.schedule_question_check(job, due_in_seconds=left_seconds + _MARGIN_SECONDS)
            return False
        return await self._expiry.answer(job, question)

    async def _check_active_of(self, queued: OpenRun) -> int:
        """Check the active run before a queued one: nobody else ends one cancelled while it waits for a person."""
        if queued.queued_after is None:
            return 0
        job = RunJob(thread_id=queued.job.thread_id, run_id=queued.queued_after)
        (active,) = await self._leases.inspect([job])
        if (
            active is None
            or isinstance(active, Unreachable)
            or active.status is not RunStatus.WAITING
            or not active.is_cancel_requested
        ):
            return 0
        return await self._check_safely(job, active)

    async def _check(self, job: RunJob, found: OpenRun | None) -> int:
        if found is None:
            await self._leases.forget(job)
            return 0
        if found.status is RunStatus.PROCESSING and found.lease_left_seconds > 0:
            await self._leases.schedule_check(job, due_in_seconds=found.lease_left_seconds + _MARGIN_SECONDS)
            return 0
        if found.status is RunStatus.WAITING:
            if found.question is None or not await self._answer_if_due(
                job, found.question, is_cancelled=found.is_cancel_requested
            ):
                return 0
        elif found.status is RunStatus.PENDING:
            await self._leases.schedule_check(
                job, due_in_seconds=_PENDING_CHECK_SECONDS if found.is_active else _QUEUED_CHECK_SECONDS
            )
            if not found.is_active:
                return await self._check_active_of(found)
            if len(self._active) >= self._config.concurrency:
                return 0  # its job is probably still in the queue; leave it to a worker with a free slot
        _log.warning("run %s (%s) has no living worker: publishing its job again", job.run_id, found.status)
        await self._publisher.publish(job)
        return 1
