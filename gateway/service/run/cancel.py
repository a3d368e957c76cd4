"""The use case of POST cancel: the worker that owns the run is notified; a run without a worker is ended at once."""

import logging

from gateway.service.run.run_values import make_call_end, make_end
from gateway.service.run.submit import Publisher
from shared.clock import SystemClock
from shared.contract.run import RunJob, RunStatus, StopReason
from shared.errors import BrokerUnavailableError
from shared.store.leases import LeaseStore
from shared.store.run_values import CancelOutcome
from shared.store.runs import RunStore

_MESSAGE = "The run was cancelled."
_CALL_MESSAGE = (
    "The run was cancelled after its worker was lost: this call may have been carried out fully, partly, or not at all."
)

logger = logging.getLogger(__name__)


class RunCancellation:
    """Cancels runs; asking twice is the same as asking once."""

    def __init__(self, runs: RunStore, leases: LeaseStore, publisher: Publisher, clock: SystemClock) -> None:
        self._runs = runs
        self._leases = leases
        self._publisher = publisher
        self._clock = clock

    async def cancel(self, thread_id: str, run_id: str) -> RunStatus:
        """Return the run's status after the request; `processing` while its worker stops it.

        Raises RunNotFoundError, StoreUnavailableError. A broker that does not answer raises nothing: the run is
        cancelled, and a reaper publishes the next.
        """
        run = await self._runs.get(thread_id, run_id)
        if run.status.is_terminal:
            return run.status
        end = make_end(run, RunStatus.CANCELLED, StopReason.CANCELLED, _MESSAGE, self._clock)
        cancelled = await self._runs.cancel(run, end, make_call_end(run, _CALL_MESSAGE, self._clock))
        if cancelled.outcome is CancelOutcome.ENDED:  # meanwhile
            return (await self._runs.get(thread_id, run_id)).status
        if cancelled.ended is None:
            return RunStatus.PROCESSING
        await self._leases.forget(RunJob(thread_id=thread_id, run_id=run_id))
        if cancelled.ended.next_run_id:
            await self._start(RunJob(thread_id=thread_id, run_id=cancelled.ended.next_run_id))
        return RunStatus.CANCELLED

    async def _start(self, job: RunJob) -> None:
        try:
            await self._publisher.publish(job)
        except BrokerUnavailableError:
            logger.warning("next run not published; a reaper will publish it", extra={"run_id": job.run_id})
