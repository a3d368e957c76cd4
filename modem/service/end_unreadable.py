"""Ends a run whose records cannot be read, so that it is not claimed for ever, and the next of its thread begins."""

import logging
from typing import Final

from shared.broker.publisher import RunPublisher
from shared.clock import SystemClock
from shared.contract.run import RunJob, RunRecord, StopReason
from shared.errors import RunNotFoundError, UnreadableRecordError
from shared.run_events import open_call_end
from shared.store.leases import LeaseStore
from shared.store.run_values import CallEnd, RunEnd
from shared.store.runs import RunStore
from workflow.journal.events import EventFactory
from workflow.journal.outcome import Outcome

_log = logging.getLogger(__name__)

_MESSAGE: Final = "What is stored of this run or its conversation cannot be read, so that it cannot go on."


class UnreadableRuns:
    """Ends such runs with stop reason `poison`."""

    def __init__(self, runs: RunStore, leases: LeaseStore, publisher: RunPublisher, clock: SystemClock) -> None:
        self._runs = runs
        self._leases = leases
        self._publisher = publisher
        self._clock = clock

    async def end(self, job: RunJob, *, token: str = "") -> None:
        """End a run once, unless another worker owns it; `token` is that of this worker's claim, if it has one.

        Raises StoreUnavailableError.
        """
        run = await self._salvage(job)
        events = EventFactory(job.thread_id, job.run_id, self._clock)
        outcome = Outcome(StopReason.POISON, _MESSAGE, run.usage)
        event = events.completion(outcome).to_json()
        end = RunEnd(outcome.status, outcome.stop_reason, outcome.message, outcome.usage, event)
        message, call_event = open_call_end(job, now=events.now(), message=_MESSAGE)
        ended = await self._runs.end_unreadable(run, end, CallEnd(message, call_event.to_json()), token=token)
        if ended is None:
            return
        _log.error("run %s is ended: its records cannot be read", job.run_id)
        await self._leases.forget(job)
        if ended.next_run_id:
            await self._publisher.publish(RunJob(thread_id=job.thread_id, run_id=ended.next_run_id))

    async def _salvage(self, job: RunJob) -> RunRecord:
        try:
            return await self._runs.get(job.thread_id, job.run_id)
        except (UnreadableRecordError, RunNotFoundError):
            return RunRecord(run_id=job.run_id, thread_id=job.thread_id, task="", created_at="")
