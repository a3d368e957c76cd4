"""The tool calls of a run: unique ids, and the state of the calls in flight."""

import re
import uuid
from collections.abc import Iterable, Sequence
from typing import Final

from shared.contract.message import ChatMessage, ToolCall
from shared.contract.state import AgentState, CallInFlight
from workflow.journal.events import EventSpan

# Safe in keys, log lines and requests; LiteLLM puts a signature of some thousand characters into Gemini's ids.
_CALL_ID: Final = re.compile(r"[!-~]{1,16384}")


def with_unique_ids(calls: Iterable[ToolCall], messages: Iterable[ChatMessage]) -> tuple[ToolCall, ...]:
    """Return the calls, each with a printable id that no message and no other call has."""
    used = {call.call_id for message in messages for call in message.tool_calls}
    unique = []
    for call in calls:
        call_id = call.call_id if _CALL_ID.fullmatch(call.call_id) else "call"
        if call_id in used or call_id != call.call_id:
            call_id = f"{call_id}-{uuid.uuid4().hex[:8]}"
        used.add(call_id)
        unique.append(call.model_copy(update={"call_id": call_id}))
    return tuple(unique)


def calls_begun(state: AgentState, messages: Sequence[ChatMessage]) -> dict[str, tuple[EventSpan, ToolCall]]:
    """Return the calls of these messages that the state has in flight, by their ids, with the spans of their events."""
    calls = {call.call_id: call for message in messages for call in message.tool_calls}
    return {
        each.call_id: (EventSpan(each.uuid, each.began_at, f"tool_{calls[each.call_id].name}"), calls[each.call_id])
        for each in state.in_flight
        if each.call_id in calls
    }


def with_calls(state: AgentState, calls: Iterable[tuple[EventSpan, ToolCall]]) -> AgentState:
    """Return the state with these calls in flight; what it knew of one of them stays."""
    known = {each.call_id: each for each in state.in_flight}
    in_flight = tuple(
        known.get(call.call_id)
        or CallInFlight(call_id=call.call_id, name=call.name, uuid=step.uuid, began_at=step.began_at)
        for step, call in calls
    )
    return state.model_copy(update={"in_flight": in_flight})


def without_call(state: AgentState, call_id: str) -> AgentState:
    """Return the state once a call has been answered."""
    return state.model_copy(update={"in_flight": tuple(each for each in state.in_flight if each.call_id != call_id)})


def count_lost_worker(state: AgentState) -> AgentState:
    """Return the state after a worker died while these calls were in flight."""
    counted = (each.model_copy(update={"workers_lost": each.workers_lost + 1}) for each in state.in_flight)
    return state.model_copy(update={"in_flight": tuple(counted)})
