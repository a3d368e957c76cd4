"""A complete event of a run, which begins and ends when the gateway writes it."""

from collections.abc import Mapping

from pydantic import JsonValue

from shared.clock import SystemClock, isoformat
from shared.contract.event import AgentExecuteData, ExecuteState
from shared.contract.run import RunRecord


def complete_event(
    run: RunRecord, clock: SystemClock, *, uuid: str, kind: str, result: Mapping[str, JsonValue], is_error: bool = False
) -> AgentExecuteData:
    """Return an event of the run that begins and ends now; `kind` is its execute_type."""
    now = isoformat(clock.now())
    return AgentExecuteData(
        uuid=uuid,
        thread_id=run.thread_id,
        run_id=run.run_id,
        create_at=now,
        modify_at=now,
        execute_start_at=now,
        execute_end_at=now,
        current_state=ExecuteState.ERROR if is_error else ExecuteState.COMPLETE,
        error_flag=is_error,
        execute_type=kind,
        execute_result=dict(result),
    )
