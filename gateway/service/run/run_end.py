"""How the gateway ends a run that no worker owns: its open calls, the record's fields, its one `flow_completion`."""

from shared.clock import SystemClock, isoformat
from shared.contract.run import RunJob, RunRecord, RunStatus, StopReason
from shared.ids import new_id
from shared.run_events import completion_event, open_call_end
from shared.store.run_values import CallEnd, RunEnd


def make_end(run: RunRecord, status: RunStatus, reason: StopReason, message: str, clock: SystemClock) -> RunEnd:
    """Return the end of a run, with what it has used so far."""
    event = completion_event(
        RunJob(thread_id=run.thread_id, run_id=run.run_id),
        uuid=new_id(),
        now=isoformat(clock.now()),
        status=status,
        reason=reason,
        usage=run.usage,
        message=message,
    )
    return RunEnd(status, reason, message, run.usage, event.to_json())


def make_call_end(run: RunRecord, message: str, clock: SystemClock) -> CallEnd:
    """Return how each tool call of the run that is still open is ended; the store fills in which call it is."""
    job = RunJob(thread_id=run.thread_id, run_id=run.run_id)
    answer, event = open_call_end(job, now=isoformat(clock.now()), message=message)
    return CallEnd(answer, event.to_json())
