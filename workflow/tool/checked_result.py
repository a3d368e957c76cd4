"""Validates the result of a tool: an invalid result of a plug-in fails its own call only."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Final

import orjson
from pydantic import JsonValue
from pydantic_core import from_json

from shared.contract.state import AgentState
from workflow.errors import ToolError
from workflow.tool.base import ToolResult

_log = logging.getLogger(__name__)

MAX_RESULT_BYTES: Final = 4_194_304  # of an event; what the model reads has the tool's own limit
_NODE_BYTES: Final = 16  # approximate overhead of a value beside its characters
_LEFT_OUT: Final = f"The result is larger than {MAX_RESULT_BYTES} bytes and is left out."
# Readers of events allow a nesting of 200, the event's own levels included.
_AROUND: Final = 4


def checked_result(result: object, state: AgentState) -> ToolResult:
    """Return the result with its event part as plain JSON. Raises ToolError where it is invalid.

    A change of state is tried on the state that the tool saw: if it fails, the call fails.
    """
    if not isinstance(result, ToolResult):
        raise ToolError(f"It returned {type(result).__name__}, not a ToolResult.")
    given: dict[str, object] = {each.name: getattr(result, each.name) for each in fields(result)}
    text, execute_type, change = given["text"], given["execute_type"], given["state"]
    if (
        not isinstance(text, str)
        or not isinstance(execute_type, str | None)
        or not (change is None or callable(change))
    ):
        raise ToolError("It returned a ToolResult with a text, an execute_type or a state of the wrong type.")
    return ToolResult(text, plain_json(result.result), bool(result.is_error), execute_type, _guarded(change, state))


def plain_json(result: object) -> dict[str, JsonValue]:
    """Return a part of an event as plain JSON; a note where it is too large. Raises ToolError where it is not JSON."""
    if not isinstance(result, Mapping):
        raise ToolError(f"Its result is {type(result).__name__}, not a mapping with one member.")
    if _is_too_large(result):
        return {str(next(iter(result)))[:100]: {"note": _LEFT_OUT}}
    try:
        written = orjson.dumps(dict(result))
        value: JsonValue = from_json(b"[" * _AROUND + written + b"]" * _AROUND, allow_inf_nan=False)
    except (TypeError, ValueError) as error:
        raise ToolError(f"Its result cannot be written as JSON: {error}") from error
    for _ in range(_AROUND):
        assert isinstance(value, list)
        (value,) = value
    assert isinstance(value, dict)
    return value


def _is_too_large(value: object) -> bool:
    """Add up sizes until the limit is reached; this also ends for a value that contains itself."""
    size, waiting = 0, [value]
    while waiting and size <= MAX_RESULT_BYTES:
        node = waiting.pop()
        size += _NODE_BYTES + (len(node) if isinstance(node, str | bytes) else 0)
        if isinstance(node, Mapping):
            waiting.extend(node.keys())
            waiting.extend(node.values())
        elif isinstance(node, list | tuple):
            size += len(node) * _NODE_BYTES
            waiting.extend(node[: MAX_RESULT_BYTES // _NODE_BYTES])
    return size > MAX_RESULT_BYTES


def _guarded(
    change: Callable[[AgentState], object] | None, seen: AgentState
) -> Callable[[AgentState], AgentState] | None:
    """Return a change of state that does not raise: it is applied while the end of the call is written."""
    if change is None:
        return None
    _changed(change, seen)

    def changed(state: AgentState) -> AgentState:
        try:
            return _changed(change, state)
        except ToolError:
            _log.exception("a tool's change of state failed, although its trial succeeded; ignoring it")
            return state

    return changed


def _changed(change: Callable[[AgentState], object], state: AgentState) -> AgentState:
    try:
        new = change(state)
    except Exception as error:
        raise ToolError(f"Its change of the agent's state failed ({type(error).__name__}).") from error
    if not isinstance(new, AgentState):
        raise ToolError(f"Its change of the agent's state returned {type(new).__name__}.")
    return new
