"""Builds what the gateway writes to a run: its end, the ends of its open calls, a steering text."""

from shared.clock import SystemClock, isoformat
from shared.contract.run import RunJob, RunRecord, RunStatus, StopReason
from shared.ids import new_id
from shared.run_events import completion_event, open_call_end, user_message_event
from shared.store.run_values import CallEnd, RunEnd, SteerText
from shared.user_message import user_message


def make_end(run: RunRecord, status: RunStatus, reason: StopReason, message: str, clock: SystemClock) -> RunEnd:
    """Return the end of a run that no worker owns, with what it has used so far and its `flow_completion`."""
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


def steer_text(request: RunRecord, clock: SystemClock) -> SteerText:
    """Return the steering text of a request for an active run: a user message with its context, and its event."""
    now = isoformat(clock.now())
    message = user_message(request.task, request.context_data)
    stamped = message.model_copy(update={"run_id": request.run_id, "created_at": now})
    return SteerText(stamped, user_message_event(request, uuid=new_id(), now=now).to_json())
