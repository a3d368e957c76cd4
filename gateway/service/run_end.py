"""How the gateway ends a run that no worker owns: its open calls, the record's fields, its one `flow_completion`."""

from shared.clock import SystemClock, isoformat
from shared.contract.event import AgentExecuteData, ExecuteState, ExecuteType
from shared.contract.message import ChatMessage, Role
from shared.contract.run import RunRecord, RunStatus, StopReason
from shared.ids import new_id
from shared.store.run_values import CallEnd, RunEnd


def make_end(run: RunRecord, status: RunStatus, reason: StopReason, message: str, clock: SystemClock) -> RunEnd:
    """Return the end of a run, with what it has used so far."""
    now = isoformat(clock.now())
    is_failure = status is RunStatus.FAILED
    event = AgentExecuteData(
        uuid=new_id(),
        thread_id=run.thread_id,
        run_id=run.run_id,
        create_at=now,
        modify_at=now,
        execute_start_at=now,
        execute_end_at=now,
        current_state=ExecuteState.ERROR if is_failure else ExecuteState.COMPLETE,
        error_flag=is_failure,
        execute_type=ExecuteType.FLOW_COMPLETION,
        execute_result={
            "stop_reason": reason.value,
            "usage": run.usage.model_dump(mode="json"),
            "flow_completion_message": message,
        },
    )
    return RunEnd(status, reason, message, run.usage, event.to_json())


def make_call_end(run: RunRecord, message: str, clock: SystemClock) -> CallEnd:
    """Return how each tool call of the run that is still open is ended; the store fills in which call it is."""
    now = isoformat(clock.now())
    event = AgentExecuteData(
        uuid="",
        thread_id=run.thread_id,
        run_id=run.run_id,
        create_at=now,
        modify_at=now,
        execute_start_at=now,
        execute_end_at=now,
        current_state=ExecuteState.ERROR,
        error_flag=True,
        execute_type="",
        execute_result={"error": message},
    )
    answer = ChatMessage(role=Role.TOOL, content=message, tool_call_id="", run_id=run.run_id, created_at=now)
    return CallEnd(answer, event.to_json())
