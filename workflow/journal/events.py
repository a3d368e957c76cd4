"""Makes the events of one run: times, ids and the wire format."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from pydantic import JsonValue

from shared.contract.event import AgentExecuteData, AssistantDelta, ExecuteState, ExecuteType
from shared.contract.message import ToolCall
from shared.contract.result import SandboxInfo
from shared.contract.run import Question, RunJob, RunRecord
from shared.run_events import completion_event, user_message_event
from workflow.errors import ToolError
from workflow.journal.event_size import bounded
from workflow.journal.outcome import Outcome
from workflow.journal.ports import Clock
from workflow.llm.model import TextDelta
from workflow.tool.arguments import parse_arguments
from workflow.tool.base import ToolResult


@dataclass(frozen=True, slots=True)
class EventSpan:
    """The events of one model call or tool call: they share `uuid` and start time."""

    uuid: str
    began_at: str
    execute_type: str


class EventFactory:
    """Makes the events of one run. With `full_deltas` text deltas have all members, as legacy streams promise."""

    def __init__(self, thread_id: str, run_id: str, clock: Clock, *, full_deltas: bool = False) -> None:
        self._thread_id = thread_id
        self._run_id = run_id
        self._clock = clock
        self._full_deltas = full_deltas

    def now(self) -> str:
        """Return the time in the format of events."""
        return self._clock.now().astimezone(UTC).isoformat(timespec="microseconds")

    def begin(self, execute_type: str) -> EventSpan:
        """Begin a span now."""
        return EventSpan(str(uuid.uuid4()), self.now(), execute_type)

    def seconds_since(self, span: EventSpan) -> float:
        """Return how long ago a span began, by the clock of whoever asks."""
        return (self._clock.now() - datetime.fromisoformat(span.began_at)).total_seconds()

    def user_message(self, run: RunRecord) -> AgentExecuteData:
        """The task, as the first event of its run."""
        return user_message_event(run, uuid=str(uuid.uuid4()), now=self.now())

    def delta(self, step: EventSpan, piece: TextDelta) -> AssistantDelta:
        """A piece of the model's text."""
        is_full = self._full_deltas
        full = self._event(step, ExecuteState.PROCESSING, ExecuteType.ASSISTANT_DELTA) if is_full else None
        return AssistantDelta(step.uuid, self._run_id, piece.text, piece.kind.value, full)

    def restarted(self, step: EventSpan, reason: str, attempt: int) -> AgentExecuteData:
        """The text streamed so far in this span is void."""
        return self._event(
            step,
            ExecuteState.PROCESSING,
            ExecuteType.STATUS,
            {"status_result": {"status": "restarted", "reason": reason, "attempt": attempt}},
        )

    def resumed(self, attempt: int) -> AgentExecuteData:
        """Another attempt continues the run: streamed text without a complete message is void."""
        return self._complete_event(ExecuteType.STATUS, {"status_result": {"status": "resumed", "attempt": attempt}})

    def sandbox_replaced(self) -> AgentExecuteData:
        """The processes of the sandbox are gone; addresses given out before no longer answer."""
        info = SandboxInfo(sandbox_id=self._thread_id, sandbox_url="", app_path="")
        return self._complete_event(
            ExecuteType.STATUS_SANDBOX_INFO, {"status_sandbox_info": info.model_dump(mode="json")}
        )

    def response(self, step: EventSpan, text: str) -> AgentExecuteData:
        """The complete text of one model call."""
        return self._event(
            step,
            ExecuteState.COMPLETE,
            ExecuteType.ASSISTANT_RESPONSE,
            {"assistant_response_result": text},
            end=True,
        )

    def tool_init(self, step: EventSpan, call: ToolCall) -> AgentExecuteData:
        """A tool call begins, with its arguments."""
        event = self._event(step, ExecuteState.INIT, step.execute_type)
        return event.model_copy(update={"execute_params": _readable_arguments(call)})

    def tool_progress(self, step: EventSpan, result: Mapping[str, JsonValue]) -> AgentExecuteData:
        """Output of a tool as it comes."""
        return self._event(step, ExecuteState.PROCESSING, step.execute_type, bounded(dict(result)))

    def tool_end(self, step: EventSpan, result: ToolResult) -> AgentExecuteData:
        """A tool call ends, well or not; a failure without a result of its own carries its text."""
        state = ExecuteState.ERROR if result.is_error else ExecuteState.COMPLETE
        shown = dict(result.result)
        if result.is_error and not shown:
            shown["error"] = result.text
        return self._event(step, state, result.execute_type or step.execute_type, bounded(shown), end=True)

    def interrupt(self, step: EventSpan, question: Question) -> AgentExecuteData:
        """The run needs a person."""
        asked = question.model_dump(mode="json", exclude={"kind"}, exclude_none=True)
        return self._event(step, ExecuteState.INTERRUPT, question.kind.value, {"interrupt_result": asked})

    def completion(self, outcome: Outcome) -> AgentExecuteData:
        """The last event of a run."""
        return completion_event(
            RunJob(thread_id=self._thread_id, run_id=self._run_id),
            uuid=str(uuid.uuid4()),
            now=self.now(),
            status=outcome.status,
            reason=outcome.stop_reason,
            usage=outcome.usage,
            message=outcome.message,
        )

    def _complete_event(self, execute_type: ExecuteType, result: Mapping[str, JsonValue]) -> AgentExecuteData:
        return self._event(self.begin(execute_type), ExecuteState.COMPLETE, execute_type, result, end=True)

    def _event(
        self,
        step: EventSpan,
        state: ExecuteState,
        execute_type: str,
        result: Mapping[str, JsonValue] | None = None,
        *,
        end: bool = False,
    ) -> AgentExecuteData:
        now = self.now()
        return AgentExecuteData(
            uuid=step.uuid,
            thread_id=self._thread_id,
            run_id=self._run_id,
            create_at=step.began_at,
            modify_at=now,
            execute_start_at=step.began_at,
            execute_end_at=now if end else None,
            current_state=state,
            error_flag=state is ExecuteState.ERROR,
            execute_type=execute_type,
            execute_result=dict(result) if result else None,
        )


def _readable_arguments(call: ToolCall) -> dict[str, JsonValue]:
    """Return the arguments as an object, or as text when they cannot be parsed."""
    try:
        return bounded(parse_arguments(call))
    except ToolError:
        return bounded({"arguments": call.arguments})
