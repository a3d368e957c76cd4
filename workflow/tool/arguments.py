"""The arguments of a tool call: bounded before they are parsed, with short error messages."""

from typing import Final

import orjson
from pydantic import JsonValue, ValidationError

from shared.contract.message import ToolCall
from shared.json_shape import shape_fault
from workflow.errors import ToolError
from workflow.llm.model import DROPPED_ARGUMENTS, MAX_ARGUMENT_CHARS
from workflow.tool.base import Parameters

MAX_VALUES: Final = 10_000  # in the JSON of one call; all of them are validated on the event loop
MAX_DEPTH: Final = 64  # lists and objects inside each other
_MAX_PROBLEMS: Final = 10  # named in one answer
_MAX_PROBLEM_CHARS: Final = 300
_IN_PARTS: Final = "Make several calls with less in each."


def parse_arguments(call: ToolCall) -> dict[str, JsonValue]:
    """Return the arguments as an object. Raises ToolError where they are not one, or too large."""
    parsed = _parsed(call)
    if not isinstance(parsed, dict):
        raise ToolError(f"The arguments of {call.name} are not as its schema says: arguments: not a JSON object.")
    if fault := shape_fault(parsed, max_depth=MAX_DEPTH, max_values=MAX_VALUES):
        raise ToolError(f"The JSON with the arguments of {call.name} {fault}, so it was not made. {_IN_PARTS}")
    return parsed


def validated(parameters: type[Parameters], call: ToolCall) -> Parameters:
    """Return the validated arguments. Raises ToolError with the first problems."""
    try:
        return parameters.model_validate(parse_arguments(call))
    except ValidationError as error:
        raise ToolError(f"The arguments of {call.name} are not as its schema says: {_problems(error)}.") from error


def _parsed(call: ToolCall) -> object:
    if call.arguments == DROPPED_ARGUMENTS or len(call.arguments) > MAX_ARGUMENT_CHARS:
        raise ToolError(
            f"The arguments of {call.name} have more than the {MAX_ARGUMENT_CHARS} characters of one call, so it was"
            f" not made. {_IN_PARTS}"
        )
    try:
        return orjson.loads(call.arguments or "{}")
    except orjson.JSONDecodeError as error:
        raise ToolError(f"The arguments of {call.name} are not valid JSON: {error}. Send one JSON object.") from error


def _problems(error: ValidationError) -> str:
    count = error.error_count()
    found = error.errors(include_url=False, include_context=False, include_input=False)[:_MAX_PROBLEMS]
    named = [
        f"{'.'.join(str(part) for part in problem['loc']) or 'arguments'}: {problem['msg']}"[:_MAX_PROBLEM_CHARS]
        for problem in found
    ]
    if count > len(named):
        named.append(f"and {count - len(named)} more problems")
    return "; ".join(named)
