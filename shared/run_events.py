"""The events of a run that gateway, worker and agent all write, made in one place. Times are ISO 8601 UTC."""

from collections.abc import Mapping

from pydantic import JsonValue

from shared.contract.event import AgentExecuteData, ExecuteState, ExecuteType
from shared.contract.message import ChatMessage, Role
from shared.contract.result import UserMessageResult
from shared.contract.run import RunJob, RunRecord, RunStatus, StopReason, Usage


def user_message_event(run: RunRecord, *, uuid: str, now: str) -> AgentExecuteData:
    """Return the task or steering text of a run, as its client sent it."""
    context = tuple(item.model_dump(mode="json") for item in run.context_data)
    result = UserMessageResult(task=run.task, context_data=context)
    shown: dict[str, JsonValue] = {"user_message_result": result.model_dump(mode="json")}
    return complete_event(_job(run), uuid=uuid, now=now, kind=ExecuteType.USER_MESSAGE, result=shown)


def completion_event(
    job: RunJob, *, uuid: str, now: str, status: RunStatus, reason: StopReason, usage: Usage, message: str
) -> AgentExecuteData:
    """Return the last event of a run."""
    result: dict[str, JsonValue] = {"stop_reason": reason.value, "usage": usage.model_dump(mode="json")}
    if message:
        result["flow_completion_message"] = message
    is_error = status is RunStatus.FAILED
    return complete_event(job, uuid=uuid, now=now, kind=ExecuteType.FLOW_COMPLETION, result=result, is_error=is_error)


def open_call_end(job: RunJob, *, now: str, message: str) -> tuple[ChatMessage, AgentExecuteData]:
    """Return tool message and event that end a call which a lost worker left open; the store fills in which call."""
    event = complete_event(job, uuid="", now=now, kind="", result={"error": message}, is_error=True)
    answer = ChatMessage(role=Role.TOOL, content=message, tool_call_id="", run_id=job.run_id, created_at=now)
    return answer, event


def complete_event(
    job: RunJob, *, uuid: str, now: str, kind: str, result: Mapping[str, JsonValue], is_error: bool = False
) -> AgentExecuteData:
    """Return an event that begins and ends now; `kind` is its execute_type."""
    return AgentExecuteData(
        uuid=uuid,
        thread_id=job.thread_id,
        run_id=job.run_id,
        create_at=now,
        modify_at=now,
        execute_start_at=now,
        execute_end_at=now,
        current_state=ExecuteState.ERROR if is_error else ExecuteState.COMPLETE,
        error_flag=is_error,
        execute_type=kind,
        execute_result=dict(result),
    )


def _job(run: RunRecord) -> RunJob:
    return RunJob(thread_id=run.thread_id, run_id=run.run_id)
