"""Reads what a `task_agent_execute` event says, and requires that its members are those of the contract."""

from typing import Final

import orjson
from pydantic import JsonValue

from shared.contract.event import AgentExecuteData, ExecuteState, ExecuteType

_COMPACT: Final = {"uuid", "run_id", "execute_type", "execute_result"}
# What a compact delta leaves out.
_ABSENT: Final = {"thread_id": "", "create_at": "", "modify_at": "", "current_state": ExecuteState.PROCESSING}


def read_data(data: bytes | str | dict[str, JsonValue]) -> AgentExecuteData:
    """Return the data of an event; a compact delta gets empty members for those that it leaves out."""
    members = data if isinstance(data, dict) else orjson.loads(data)
    if members.keys() == _COMPACT and members["execute_type"] == ExecuteType.ASSISTANT_DELTA:
        members = {**members, **_ABSENT}
    return AgentExecuteData.model_validate(members)
