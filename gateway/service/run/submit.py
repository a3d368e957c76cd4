"""Accepts a task: stores the run, publishes its job, and ends the run if the job cannot be published."""

import logging
from typing import Protocol

from gateway.service.run.run_values import make_end, steer_text
from shared.clock import SystemClock, isoformat
from shared.contract.api import ExecuteRequest, ExecuteResponse, InputRequest, OnBusy
from shared.contract.run import Decision, QuestionKind, RunJob, RunRecord, RunStatus, StopReason
from shared.contract.thread import NOBODY, ThreadOwner
from shared.errors import BrokerUnavailableError
from shared.ids import new_id
from shared.store.run_values import Ended, RunEnd, SteerText, SubmitOutcome, Submitted

logger = logging.getLogger(__name__)


class RunWriter(Protocol):
    """Where runs are stored."""

    async def submit(
        self,
        run: RunRecord,
        *,
        on_busy: OnBusy,
        idempotency_key: str = "",
        steer: SteerText | None = None,
        owner: ThreadOwner = NOBODY,
    ) -> Submitted:
        """Store a run as active or queued, or add its steering text to the active run."""

    async def get(self, thread_id: str, run_id: str) -> RunRecord:
        """Return a run."""

    async def fail_pending(self, run: RunRecord, end: RunEnd) -> Ended | None:
        """End a run that no worker has claimed; None when one has."""


class ActiveRunReader(Protocol):
    """Where threads are stored."""

    async def active_run(self, thread_id: str) -> str | None:
        """Return the id of the active run."""


class Publisher(Protocol):
    """Publishes jobs to the broker."""

    async def publish(self, job: RunJob) -> None:
        """Publish; raises BrokerUnavailableError."""


class Canceller(Protocol):
    """Cancels runs."""

    async def cancel(self, thread_id: str, run_id: str) -> RunStatus:
        """Ask a run to stop."""


class Answering(Protocol):
    """Answers runs that wait for a person."""

    async def answer(self, thread_id: str, run_id: str, request: InputRequest) -> RunStatus:
        """Give a waiting run its answer."""


class RunSubmission:
    """The use case of POST execute."""

    def __init__(
        self,
        runs: RunWriter,
        threads: ActiveRunReader,
        publisher: Publisher,
        canceller: Canceller,
        answering: Answering,
        *,
        clock: SystemClock,
    ) -> None:
        self._answering = answering
        self._canceller = canceller
        self._runs = runs
        self._threads = threads
        self._publisher = publisher
        self._clock = clock

    async def submit(
        self,
        thread_id: str,
        request: ExecuteRequest,
        *,
        idempotency_key: str = "",
        owner: ThreadOwner = NOBODY,
    ) -> ExecuteResponse:
        """Return the run that stands for the request on a thread of `owner`.

        Raises ThreadNotFoundError, ThreadBusyError, StoreUnavailableError, BrokerUnavailableError.
        """
        run = RunRecord(
            run_id=new_id(),
            thread_id=thread_id,
            task=request.task,
            context_data=request.context_data,
            parameters=request.parameters,
            user_uuid=request.user_uuid,
            created_at=isoformat(self._clock.now()),
        )
        steer = steer_text(run, self._clock) if request.on_busy is OnBusy.STEER else None
        submitted = await self._runs.submit(
            run, on_busy=request.on_busy, idempotency_key=idempotency_key, steer=steer, owner=owner
        )
        status = await self._start(submitted, request.task)
        if submitted.queued_after is not None and request.on_busy is OnBusy.INTERRUPT:
            # Not the run that is active by now, which may be one that interrupts, too.
            await self._canceller.cancel(thread_id, submitted.queued_after)
        return ExecuteResponse(
            thread_id=thread_id, run_id=submitted.run.run_id, status=status, created_at=submitted.run.created_at
        )

    async def _start(self, submitted: Submitted, task: str) -> RunStatus:
        run = submitted.run
        if submitted.outcome is SubmitOutcome.QUEUED:
            return RunStatus.PENDING
        if submitted.outcome is SubmitOutcome.STEERED:
            return RunStatus.PROCESSING if run.status is RunStatus.PENDING else run.status
        if submitted.outcome is SubmitOutcome.WAITING:
            return await self._answer_waiting(run, task)
        if submitted.outcome is SubmitOutcome.REPEATED:
            if run.status is not RunStatus.PENDING:
                return run.status
            if await self._threads.active_run(run.thread_id) != run.run_id:
                return RunStatus.PENDING
        # A repeated run that is still pending may have lost its job; a second job does no harm.
        await self._publish(run)
        return RunStatus.PROCESSING

    async def _answer_waiting(self, run: RunRecord, text: str) -> RunStatus:
        """Answer a question with the text; a call that waits for approval is denied with it."""
        is_approval = run.waiting is not None and run.waiting.kind is QuestionKind.APPROVAL
        request = InputRequest(answer=text, decision=Decision.DENY if is_approval else None)
        return await self._answering.answer(run.thread_id, run.run_id, request)

    async def _publish(self, run: RunRecord) -> None:
        try:
            await self._publisher.publish(_job(run))
        except BrokerUnavailableError:
            if await self._fail(run):
                raise

    async def _fail(self, run: RunRecord) -> bool:
        """End a run whose job was not published, and start the next; False when a worker has claimed it after all."""
        logger.error("job not published; ending the run", extra={"run_id": run.run_id})
        ended = await self._runs.fail_pending(run, self._failure(run))
        if ended is None:
            return False
        while ended is not None and ended.next_run_id:
            following = await self._runs.get(run.thread_id, ended.next_run_id)
            try:
                await self._publisher.publish(_job(following))
                break
            except BrokerUnavailableError:
                ended = await self._runs.fail_pending(following, self._failure(following))
        return True

    def _failure(self, run: RunRecord) -> RunEnd:
        message = BrokerUnavailableError().message
        return make_end(run, RunStatus.FAILED, StopReason.INTERNAL_ERROR, message, self._clock)


def _job(run: RunRecord) -> RunJob:
    return RunJob(thread_id=run.thread_id, run_id=run.run_id)
