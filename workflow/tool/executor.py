"""Runs one tool call and always returns a result: a failure becomes an error that the model reads."""

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from shared.contract.message import ToolCall
from shared.contract.state import Phase
from workflow.errors import SandboxUnavailableError, ToolError, WorkflowError
from workflow.llm.whole_characters import repair
from workflow.tool.arguments import validated
from workflow.tool.base import Parameters, Tool, ToolContext, ToolResult
from workflow.tool.checked_result import checked_result
from workflow.tool.cut_output import cut_output
from workflow.tool.end_task import end_task
from workflow.tool.masked_arguments import REFUSED, hold_mask
from workflow.tool.question import question_of
from workflow.tool.registry import RegisteredTool, ToolRegistry

# Enough for a command, which gets two seconds to end by itself and is then killed.
_GRACE_SECONDS: Final = 4.0
_log = logging.getLogger(__name__)


async def execute_call(
    registry: ToolRegistry,
    call: ToolCall,
    phase: Phase,
    context: Callable[[RegisteredTool], ToolContext],
    *,
    grace_seconds: float = _GRACE_SECONDS,
) -> ToolResult:
    """Return the result of the call, or its failure, with the text cut to the tool's output limit.

    Raises SandboxUnavailableError only: without a sandbox further calls would fail too.
    """
    registered = registry.find(call.name)
    result = await _attempt(registry, call, phase, context, grace_seconds=grace_seconds)
    return _within(result, registered.max_output_chars if registered else Tool.max_output_chars)


async def _attempt(
    registry: ToolRegistry,
    call: ToolCall,
    phase: Phase,
    context: Callable[[RegisteredTool], ToolContext],
    *,
    grace_seconds: float,
) -> ToolResult:
    try:
        registered = _allowed(registry, call, phase)
        if hold_mask(registered.tool, call.arguments):
            return _failure(REFUSED.format(name=call.name))
        arguments = validated(registered.tool.parameters, call)
        return await _in_time(registered, arguments, context(registered), grace_seconds=grace_seconds)
    except SandboxUnavailableError:
        raise
    except WorkflowError as error:
        return _failure(error.message)
    except TimeoutError:
        return _failure(f"{call.name} ran into a time limit.")
    except OSError as error:
        return _failure(f"{call.name} failed: {error.strerror or error}: {error.filename or ''}".rstrip(": "))
    except Exception as error:  # noqa: BLE001 - edge of the tool: a fault must not end the run
        _log.exception("tool %s failed unexpectedly", call.name)
        return _failure(f"{call.name} failed inside ({type(error).__name__}). Try it differently.")


async def _in_time(
    registered: RegisteredTool, params: Parameters, context: ToolContext, *, grace_seconds: float
) -> ToolResult:
    name, seconds = registered.tool.name, registered.timeout_seconds
    work = asyncio.create_task(_run(registered, params, context))
    try:
        await asyncio.wait((work,), timeout=seconds)
        if not work.done():
            await _end(work, name, grace_seconds)
            return _late_result(work) or _failure(f"{name} was stopped at its time limit of {seconds:g} seconds.")
    except asyncio.CancelledError:
        await _end(work, name, grace_seconds)
        raise
    if work.cancelled():
        # Not cancelled from here: something that the tool awaited was cancelled.
        return _failure(f"{name} was cancelled from within. Try it differently.")
    return work.result()


async def _run(registered: RegisteredTool, params: Parameters, context: ToolContext) -> ToolResult:
    try:
        result = checked_result(await registered.tool.run(params, context), context.state)
        if registered.tool.asks_user and not result.is_error:
            question_of(context.call_id, result)  # raises where it is none
        return result
    except (asyncio.CancelledError, Exception):
        raise
    except BaseException as error:  # such as SystemExit, with which asyncio would end the loop with all other runs
        name = registered.tool.name
        _log.exception("tool %s asked the process to exit", name)
        raise ToolError(f"{name} failed inside ({type(error).__name__}). Try it differently.") from error


async def _end(work: asyncio.Task[ToolResult], name: str, grace_seconds: float) -> None:
    if not await end_task(work, grace_seconds=grace_seconds):
        _log.error("tool %s ignores its cancellation; abandoned, its result is discarded", name)


def _late_result(work: asyncio.Task[ToolResult]) -> ToolResult | None:
    """Return the result of a tool that returned one after its cancellation."""
    return work.result() if work.done() and not work.cancelled() and work.exception() is None else None


def _allowed(registry: ToolRegistry, call: ToolCall, phase: Phase) -> RegisteredTool:
    registered = registry.get(call.name)
    on_offer = {spec.name for spec in registry.specs(phase)}
    if call.name not in on_offer:
        first = " or ".join(registry.planners)
        raise ToolError(f"{call.name} is not to be had while planning. Call {first} first, or answer in text.")
    return registered


def _failure(text: str) -> ToolResult:
    return ToolResult(text=text, is_error=True)


def _within(result: ToolResult, max_chars: int) -> ToolResult:
    text = repair(cut_output(result.text, max_chars)[0])
    return ToolResult(text, result.result, result.is_error, result.execute_type, result.state)
