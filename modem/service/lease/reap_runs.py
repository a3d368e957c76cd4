"""The reaper: finds runs that nobody carries and publishes their jobs again. One in every worker; any can do all."""

import asyncio
import logging
from typing import Final

from tenacity import AsyncRetrying, retry_if_exception_type, wait_fixed

from modem.service.end_unreadable import UnreadableRuns
from modem.service.lease.active_runs import ActiveRuns
from modem.service.lease.expire_questions import QuestionExpiry
from modem.service.publish import JobPublisher
from modem.service.redis_retry import NOTICE_SECONDS
from shared.config import ModemConfig
from shared.contract.run import Question, RunJob, RunStatus
from shared.errors import StoreUnavailableError, UnreadableRecordError
from shared.store.leases import UNREACHABLE, LeaseStore, OpenRun, Unreachable

_log = logging.getLogger(__name__)

_BATCH: Final = 200
# Between two tries to reach a Redis that does not answer.
_LOST_SECONDS: Final = 0.2
# How much longer than a lease a run may go unwatched; the lease is looked at just after it can have run out.
_MARGIN_SECONDS: Final = 0.25
# A run that waits for a slot has a job somewhere; publishing it again too often fills the queue.
_PENDING_SECONDS: Final = 60.0
# A run that waits for its turn has none yet; the job that it gets may be lost.
_INBOX_SECONDS: Final = 10.0


class Reaper:
    """Looks at open runs when they are due."""

    def __init__(
        self,
        leases: LeaseStore,
        publisher: JobPublisher,
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
        """Look until cancelled, several times in the length of a lease."""
        while True:
            try:
                await self.inspect_once()
            except StoreUnavailableError:
                _log.warning("the reaper cannot reach Redis")
                await self._let_owners_go_first()
            await asyncio.sleep(min(1.0, self._config.lease_seconds / 4))

    async def _let_owners_go_first(self) -> None:
        """Wait until Redis is back, and long enough for living workers to give back the runs that are well."""
        asking = AsyncRetrying(retry=retry_if_exception_type(StoreUnavailableError), wait=wait_fixed(_LOST_SECONDS))
        await asking(self._leases.ping)
        await asyncio.sleep(NOTICE_SECONDS)

    async def inspect_once(self) -> int:
        """Look at all runs that are due; return how many jobs were published."""
        published = 0
        while True:
            due = await self._leases.take_due(limit=_BATCH, hold_seconds=self._config.lease_seconds)
            for job, found in zip(due, await self._leases.inspect(due), strict=True):
                published += await self._settle_alone(job, found)
            if len(due) < _BATCH:
                return published

    async def _settle_alone(self, job: RunJob, found: OpenRun | Unreachable | None) -> int:
        """Settle a run; one that cannot be read is ended, and costs the others nothing."""
        if found is UNREACHABLE:  # it is due again soon
            return 0
        try:
            if not isinstance(found, Unreachable):
                return await self._settle(job, found)
        except UnreadableRecordError:
            _log.exception("what is stored of run %s cannot be read", job.run_id)
        await self._unreadable.end(job)
        return 0

    async def _is_answered(self, job: RunJob, question: Question, *, is_cancelled: bool) -> bool:
        """Whether the run can go on because its question had been open for too long, or because it shall stop.

        It is its next owner who ends a run that shall stop.
        """
        left_seconds = self._expiry.seconds_left(question)
        if left_seconds > 0 and not is_cancelled:
            await self._leases.schedule_question_check(job, due_in_seconds=left_seconds + _MARGIN_SECONDS)
            return False
        return await self._expiry.answer(job, question)

    async def _see_who_is_before(self, queued: OpenRun) -> int:
        """Settle a run that waits for a person although another was to take its place: nothing else would."""
        if queued.behind is None:
            return 0
        job = RunJob(thread_id=queued.job.thread_id, run_id=queued.behind)
        (active,) = await self._leases.inspect([job])
        if (
            active is None
            or isinstance(active, Unreachable)
            or active.status is not RunStatus.WAITING
            or not active.is_cancel_requested
        ):
            return 0
        return await self._settle_alone(job, active)

    async def _settle(self, job: RunJob, found: OpenRun | None) -> int:
        if found is None:
            await self._leases.forget(job)
            return 0
        if found.status is RunStatus.PROCESSING and found.lease_left_seconds > 0:
            await self._leases.schedule_check(job, due_in_seconds=found.lease_left_seconds + _MARGIN_SECONDS)
            return 0
        if found.status is RunStatus.WAITING:
            if found.question is None or not await self._is_answered(
                job, found.question, is_cancelled=found.is_cancel_requested
            ):
                return 0
        elif found.status is RunStatus.PENDING:
            await self._leases.schedule_check(
                job, due_in_seconds=_PENDING_SECONDS if found.is_active else _INBOX_SECONDS
            )
            if not found.is_active:
                return await self._see_who_is_before(found)
            if len(self._active) >= self._config.concurrency:
                return 0  # its job waits in the queue as likely as not; a worker with a free slot would know better
        _log.warning("run %s has no living worker (%s): its job is published again", job.run_id, found.status)
        await self._publisher.publish(job)
        return 1
