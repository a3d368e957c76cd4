"""The events that a stream yields."""

import json
from dataclasses import dataclass

from pydantic import JsonValue

from baud.sdk.sse import SseFrame
from shared.contract.event import TASK_EVENT, ExecuteState, ExecuteType


@dataclass(frozen=True, slots=True)
class Event:
    """One event. `id` is its place in the thread's log, None for the gateway's own events (gap, error, ...).

    Data that is not a JSON object, which only other producers write, is put under the member `value`.
    """

    id: str | None
    event: str
    data: dict[str, JsonValue]

    @property
    def execute_type(self) -> str:
        """The kind of a `task_agent_execute` event, e.g. `tool_bash`; empty for others."""
        kind = self.data.get("execute_type") if self.event == TASK_EVENT else None
        return kind if isinstance(kind, str) else ""

    @property
    def is_completion(self) -> bool:
        """Whether a run ended with this event."""
        return self.execute_type == ExecuteType.FLOW_COMPLETION

    @property
    def is_question(self) -> bool:
        """Whether the run waits for a person from this event on."""
        return self.data.get("current_state") == ExecuteState.INTERRUPT

    @property
    def result(self) -> JsonValue:
        """The one member of `execute_result`, without its name; None when there is none."""
        members = self.data.get("execute_result")
        return next(iter(members.values()), None) if isinstance(members, dict) else None

    def to_json(self) -> str:
        """Return the event as one line of JSON."""
        return json.dumps({"id": self.id, "event": self.event, "data": self.data}, ensure_ascii=False)


@dataclass(frozen=True, slots=True)
class Gap(Event):
    """Events after `requested` are no longer kept: those between it and `first_available` are lost."""

    @property
    def requested(self) -> str:
        """The id after which the reader wanted to resume."""
        return str(self.data.get("requested", ""))

    @property
    def first_available(self) -> str:
        """The id of the oldest event that is kept, which comes next."""
        return str(self.data.get("first_available", ""))


def read_event(frame: SseFrame) -> Event:
    """Return the event that a frame with data carries."""
    text = frame.data or ""
    try:
        value: JsonValue = json.loads(text)
    except ValueError:
        value = text
    kind = Gap if frame.id is None and frame.event == "gap" else Event
    return kind(frame.id, frame.event, value if isinstance(value, dict) else {"value": value})


def stream_position(stream_id: str) -> tuple[int, int] | None:
    """Return a Redis stream id as numbers that can be compared; None for anything else."""
    milliseconds, _, sequence = stream_id.partition("-")
    if not (milliseconds.isdecimal() and (sequence or "0").isdecimal()):
        return None
    return int(milliseconds), int(sequence or "0")
