"""What a client sees: one AgentExecuteData per event, and the stream entry that holds it."""

from enum import StrEnum
from typing import Final, NamedTuple

import pydantic_core
from pydantic import JsonValue

from shared.contract.base import Contract

TASK_EVENT: Final = "task_agent_execute"


class ExecuteState(StrEnum):
    """The progress of what an event is about."""

    INIT = "init"  # begun; what follows in the log may be in flight
    PROCESSING = "processing"  # output as it comes
    INTERRUPT = "interrupt"  # waits for a person
    COMPLETE = "complete"  # done
    ERROR = "error"  # failed


class ExecuteType(StrEnum):
    """The kinds of event that are no tool's; a tool's kind is `tool_` and its name."""

    USER_MESSAGE = "user_message"  # a task begins
    ASSISTANT_DELTA = "assistant_delta"  # a piece of the model's text
    ASSISTANT_RESPONSE = "assistant_response"  # the complete text of one model call
    STATUS_SANDBOX_INFO = "status_sandbox_info"  # an address under which an app can be reached
    ASK_USER = "ask_user"  # the agent asks back
    APPROVAL = "approval"  # a tool call needs the approval of a person
    STATUS = "status"  # text streamed so far in this step is void: the step is restarted
    FLOW_COMPLETION = "flow_completion"  # the run has ended; always the last event


class AgentExecuteData(Contract):
    """The data of a `task_agent_execute` event; times are ISO 8601 UTC with offset.

    `execute_type` is an ExecuteType or `tool_{name}`; `execute_result` has one member.
    """

    uuid: str
    thread_id: str
    run_id: str
    create_at: str
    modify_at: str
    execute_start_at: str | None = None
    execute_end_at: str | None = None
    current_state: ExecuteState
    error_flag: bool = False
    execute_type: str
    execute_params: dict[str, JsonValue] | None = None
    execute_result: dict[str, JsonValue] | None = None

    def to_json(self) -> bytes:
        """Return the one line of JSON that goes on the wire, null members left out."""
        return self.__pydantic_serializer__.to_json(self, exclude_none=True)


class AssistantDelta(NamedTuple):
    """A piece of the model's text: the bulk of a log, and so only what a client needs of it goes on the wire.

    `kind` is content or reasoning. With `full` the other members go too, for readers of legacy streams.
    """

    uuid: str
    run_id: str
    text: str
    kind: str
    full: AgentExecuteData | None = None

    def with_text(self, text: str) -> "AssistantDelta":
        """Return the delta with another text."""
        return self._replace(text=text)

    def to_json(self) -> bytes:
        """Return the one line of JSON that goes on the wire."""
        result: dict[str, JsonValue] = {"assistant_delta": {"text": self.text, "kind": self.kind}}
        if self.full is not None:
            return self.full.model_copy(update={"execute_result": result}).to_json()
        return pydantic_core.to_json(
            {
                "uuid": self.uuid,
                "run_id": self.run_id,
                "execute_type": ExecuteType.ASSISTANT_DELTA.value,
                "execute_result": result,
            }
        )


RunEvent = AgentExecuteData | AssistantDelta


class StreamEntry(NamedTuple):
    """One entry of a thread's stream as it was read; `data` is forwarded unchanged.

    `type` is its execute_type, or the name of any other event; empty for an entry of an earlier version.
    """

    id: str
    event: str
    data: bytes
    run_id: str
    is_final: bool
    type: str = ""
