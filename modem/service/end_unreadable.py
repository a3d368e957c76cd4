"""Ends a run whose records cannot be read, so that it is not claimed for ever, and the next of its thread begins."""

import logging
from typing import Final

from modem.service.publish import JobPublisher
from shared.clock import SystemClock
from shared.contract.event import AgentExecuteData
from shared.contract.message import ChatMessage, Role
from shared.contract.run import RunJob, RunRecord, StopReason
from shared.errors import RunNotFoundError, UnreadableRecordError
from shared.store.leases import LeaseStore
from shared.store.run_values import CallEnd, RunEnd
from shared.store.runs import RunStore
from workflow.journal.events import EventFactory
from workflow.journal.outcome import Outcome
from workflow.tool.base import ToolResult

_log = logging.getLogger(__name__)

_MESSAGE: Final = "What is stored of this run or its conversation cannot be read, so that it cannot go on."


class UnreadableRuns:
    """Ends such runs with stop reason `poison`."""

    def __init__(self, runs: RunStore, leases: LeaseStore, publisher: JobPublisher, clock: SystemClock) -> None:
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
        ended = await self._runs.end_unreadable(run, end, _call_end(events, job), token=token)
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


def _call_end(events: EventFactory, job: RunJob) -> CallEnd:
    """Return how a call that was open is ended; the store fills in which call it is."""
    event: AgentExecuteData = events.tool_end(events.begin("tool_"), ToolResult(text=_MESSAGE, is_error=True))
    message = ChatMessage(
        role=Role.TOOL, content=_MESSAGE, tool_call_id="", run_id=job.run_id, created_at=event.create_at
    )
    return CallEnd(message, event.to_json())
