"""Runs one tool call and always comes back with a result: whatever goes wrong is something the model reads."""

import asyncio
import logging
from collections.abc import Callable

from shared.contract.message import ToolCall
from shared.contract.state import Phase
from workflow.errors import SandboxUnavailableError, ToolError, WorkflowError
        if hold_mask(registered.tool, call.arguments):
            return _failure(REFUSED.format(name=call.name))
        return await _in_time(registered, validated(registered.tool.parameters, call), context(registered))
from workflow.tool.base import Parameters, Tool, ToolContext, ToolResult
from workflow.tool.checked_result import checked_result
from workflow.tool.cut_output import cut_output
from workflow.tool.masked_arguments import REFUSED, hold_mask
from workflow.tool.registry import RegisteredTool, ToolRegistry

_log = logging.getLogger(__name__)


async def execute_call(
    registry: ToolRegistry, call: ToolCall, phase: Phase, context: Callable[[RegisteredTool], ToolContext]
) -> ToolResult:
    """Return what the call came to, its text within the tool's output limit, whether it went well or not.

    Raises SandboxUnavailableError only: without any sandbox no further call could do better.
    """
    registered = registry.find(call.name)
    result = await _attempt(registry, call, phase, context)
    return _within(result, registered.max_output_chars if registered else Tool.max_output_chars)


async def _attempt(
    registry: ToolRegistry, call: ToolCall, phase: Phase, context: Callable[[RegisteredTool], ToolContext]
) -> ToolResult:
    try:
        registered = _allowed(registry, call, phase)
<<<<<<< HEAD
        if hold_mask(registered.tool, call.arguments):
            return _failure(REFUSED.format(name=call.name))
        return await _in_time(registered, _arguments(registered, call), context(registered))
=======
        return await _in_time(registered, validated(registered.tool.parameters, call), context(registered))
>>>>>>> files
    except SandboxUnavailableError:
        raise
    except WorkflowError as error:
        return _failure(error.message)
    except TimeoutError:
        return _failure(f"{call.name} ran into a time limit.")
    except OSError as error:
        return _failure(f"{call.name} failed: {error.strerror or error}: {error.filename or ''}".rstrip(": "))
    except Exception as error:  # noqa: BLE001 - the tool runner's edge: a fault of a tool must not end the run
        _log.exception("tool %s failed unexpectedly", call.name)
        return _failure(f"{call.name} failed inside ({type(error).__name__}). Try it differently.")


async def _in_time(registered: RegisteredTool, params: Parameters, context: ToolContext) -> ToolResult:
    name, seconds = registered.tool.name, registered.timeout_seconds
    try:
        async with asyncio.timeout(seconds) as deadline:
            return checked_result(await registered.tool.run(params, context))
    except TimeoutError:
        if not deadline.expired():
            raise
        return _failure(f"{name} was stopped at its time limit of {seconds:g} seconds.")
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        # Nobody cancelled this task: the tool awaited something of its own that was cancelled.
        return _failure(f"{name} was cancelled from within. Try it differently.")
    except Exception:
        raise
    except BaseException as error:  # noqa: BLE001 - such as SystemExit, which would end the worker's loop
        _log.exception("tool %s failed unexpectedly", name)
        return _failure(f"{name} failed inside ({type(error).__name__}). Try it differently.")


def _allowed(registry: ToolRegistry, call: ToolCall, phase: Phase) -> RegisteredTool:
    registered = registry.get(call.name)
    on_offer = {spec.name for spec in registry.specs(phase)}
    if call.name not in on_offer:
        raise ToolError(f"{call.name} is not to be had while planning. Call job_plan first, or answer in text.")
    return registered


def _failure(text: str) -> ToolResult:
    return ToolResult(text=text, is_error=True)


def _within(result: ToolResult, max_chars: int) -> ToolResult:
    text = repair(cut_output(result.text, max_chars)[0])
    return ToolResult(text, result.result, result.is_error, result.execute_type, result.state)
