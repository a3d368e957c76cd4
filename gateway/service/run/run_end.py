"""How the gateway ends a run that no worker owns: its open calls, the record's fields, its one `flow_completion`."""

from gateway.service.run.complete_event import complete_event
from shared.clock import SystemClock
from shared.contract.event import ExecuteType
from shared.contract.message import ChatMessage, Role
from shared.contract.run import RunRecord, RunStatus, StopReason
from shared.ids import new_id
from shared.store.run_values import CallEnd, RunEnd


def make_end(run: RunRecord, status: RunStatus, reason: StopReason, message: str, clock: SystemClock) -> RunEnd:
    """Return the end of a run, with what it has used so far."""
    event = complete_event(
        run,
        clock,
        uuid=new_id(),
        kind=ExecuteType.FLOW_COMPLETION,
        result={
            "stop_reason": reason.value,
            "usage": run.usage.model_dump(mode="json"),
            "flow_completion_message": message,
        },
        is_error=status is RunStatus.FAILED,
    )
    return RunEnd(status, reason, message, run.usage, event.to_json())


def make_call_end(run: RunRecord, message: str, clock: SystemClock) -> CallEnd:
    """Return how each tool call of the run that is still open is ended; the store fills in which call it is."""
    event = complete_event(run, clock, uuid="", kind="", result={"error": message}, is_error=True)
    now = event.create_at
    answer = ChatMessage(role=Role.TOOL, content=message, tool_call_id="", run_id=run.run_id, created_at=now)
    return CallEnd(answer, event.to_json())
