"""One tool call always comes back with a result that the model can read."""

import asyncio
from contextlib import suppress

import pytest

from shared.contract.message import ToolCall
from shared.contract.state import AgentState, Phase
from tests.fakes.fake_sandbox import FakeSandbox
from tests.fakes.scripted_tool import LookTool, ScriptedParameters
from tests.unit.workflow.runner.scene import registry_with
from workflow.errors import PathOutsideWorkspaceError, SandboxUnavailableError, ToolError
from workflow.llm.model import DROPPED_ARGUMENTS, MAX_ARGUMENT_CHARS
from workflow.service.sandbox.base import Sandbox
from workflow.tool.base import ToolContext, ToolResult
from workflow.tool.executor import execute_call
from workflow.tool.registry import RegisteredTool, ToolRegistry


async def sandbox() -> Sandbox:
    return FakeSandbox()


async def no_progress(result: object) -> None:
    return None


def context(registered: RegisteredTool) -> ToolContext:
    return ToolContext(
        thread_id="t",
        run_id="r",
        call_id="c",
        state=AgentState(),
        sandbox=sandbox,
        progress=no_progress,
        timeout_seconds=registered.timeout_seconds,
        max_output_chars=registered.max_output_chars,
    )


def looking(error: BaseException) -> LookTool:
    async def body(params: ScriptedParameters, context: ToolContext) -> ToolResult:
        raise error

    return LookTool(body)


async def execute(registry: ToolRegistry, name: str, arguments: str, phase: Phase = Phase.EXECUTION) -> ToolResult:
    return await execute_call(registry, ToolCall(call_id="c", name=name, arguments=arguments), phase, context)


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ToolError("no kettle"), "no kettle"),
        (PathOutsideWorkspaceError("../x lies outside."), "../x lies outside."),
        (FileNotFoundError(2, "No such file or directory", "a.txt"), "look failed: No such file or directory: a.txt"),
        (OSError("odd"), "look failed: odd"),
        (TimeoutError(), "look ran into a time limit."),
        (asyncio.CancelledError(), "look was cancelled from within. Try it differently."),
        (ZeroDivisionError("secret detail"), "look failed inside (ZeroDivisionError). Try it differently."),
    ],
    ids=lambda value: type(value).__name__,
)
async def test_whatever_a_tool_raises_becomes_an_error_result(error: BaseException, text: str) -> None:
    result = await execute(registry_with(looking(error)), "look", "{}")
    assert (result.is_error, result.text) == (True, text)


async def test_only_a_missing_sandbox_is_raised() -> None:
    with pytest.raises(SandboxUnavailableError):
        await execute(registry_with(looking(SandboxUnavailableError("none"))), "look", "{}")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ("{", "not valid JSON"),
        ("null", "arguments: "),
        ("[]", "arguments: "),
        ('{"number": "x"}', "number: "),
        ('{"numbr": 1}', "numbr: Extra inputs are not permitted"),
    ],
)
async def test_bad_arguments_are_named_to_the_model(arguments: str, complaint: str) -> None:
    result = await execute(registry_with(looking(AssertionError())), "look", arguments)
    assert result.is_error
    assert complaint in result.text
    assert "look" in result.text


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ('{"number": "' + "x" * MAX_ARGUMENT_CHARS + '"}', f"more than the {MAX_ARGUMENT_CHARS} characters"),
        (DROPPED_ARGUMENTS, f"more than the {MAX_ARGUMENT_CHARS} characters"),
        ('{"number": [' + "1," * 20_000 + "1]}", "more than 10,000 values"),
        ("{" + ",".join(f'"k{number}": 1' for number in range(20_000)) + "}", "more than 10,000 values"),
        ('{"number": ' + "[" * 100 + "]" * 100 + "}", "nested deeper than 64"),
        ('{"number": ' + "[" * 900_000, "not valid JSON"),
    ],
    ids=["characters", "dropped while streamed", "values", "keys", "depth", "open brackets"],
)
async def test_arguments_that_are_too_large_are_not_taken_apart(arguments: str, complaint: str) -> None:
    result = await execute(registry_with(looking(AssertionError())), "look", arguments)
    assert result.is_error
    assert complaint in result.text
    assert len(result.text) < 500


async def test_of_many_problems_the_first_ten_are_named() -> None:
    unknown = ",".join(f'"{"k" * 500}{number}": 1' for number in range(1000))
    result = await execute(registry_with(looking(AssertionError())), "look", "{" + unknown + "}")
    assert result.text.endswith("; and 990 more problems.")
    assert len(result.text) < 4000


async def test_an_unknown_tool_is_answered_with_the_known_ones() -> None:
    result = await execute(ToolRegistry.from_config({}, plugins=()), "bsh", "{}")
    assert result.is_error
    assert "There is no tool bsh" in result.text
    assert "bash" in result.text


async def test_planning_offers_no_other_tool() -> None:
    result = await execute(ToolRegistry.from_config({}, plugins=()), "todo_read", "{}", Phase.PLANNING)
    assert result.is_error
    assert "planning" in result.text


async def test_a_long_failure_is_cut_like_a_long_result() -> None:
    registry = registry_with(looking(ToolError("head" + "x" * 5000 + "tail")), max_output_chars=300)
    result = await execute(registry, "look", "{}")
    assert result.is_error
    assert result.text.startswith("head")
    assert result.text.endswith("tail")
    assert len(result.text) < 400


async def test_a_cut_result_keeps_what_else_it_says() -> None:
    async def body(params: ScriptedParameters, context: ToolContext) -> ToolResult:
        return ToolResult("x" * 1000, {"tool_look_result": 1}, is_error=True, execute_type="other", state=lambda s: s)

    result = await execute(registry_with(LookTool(body), max_output_chars=200), "look", "{}")
    assert "800 characters left out" in result.text
    assert (result.result, result.is_error, result.execute_type) == ({"tool_look_result": 1}, True, "other")
    assert result.state is not None


async def test_a_tool_that_asks_to_exit_is_answered_like_any_fault() -> None:
    result = await execute(registry_with(looking(SystemExit(1))), "look", "{}")
    assert (result.is_error, result.text) == (True, "look failed inside (SystemExit). Try it differently.")


class Stubborn:
    """A body that swallows every cancellation until it is released."""

    def __init__(self) -> None:
        self.inside, self.released, self.ended = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def __call__(self, params: ScriptedParameters, context: ToolContext) -> ToolResult:
        self.inside.set()
        while not self.released.is_set():
            with suppress(asyncio.CancelledError):
                await self.released.wait()
        self.ended.set()
        return ToolResult("too late")


async def test_a_tool_that_swallows_its_timeout_is_abandoned(caplog: pytest.LogCaptureFixture) -> None:
    body = Stubborn()
    registry = registry_with(LookTool(body), timeout_seconds=0.01)
    call = ToolCall(call_id="c", name="look", arguments="{}")
    result = await asyncio.wait_for(execute_call(registry, call, Phase.EXECUTION, context, grace_seconds=0.01), 5)
    assert (result.is_error, result.text) == (True, "look was stopped at its time limit of 0.01 seconds.")
    assert "tool look ignores its cancellation" in caplog.text
    body.released.set()
    await asyncio.wait_for(body.ended.wait(), 5)


async def test_a_cancelled_call_of_a_tool_that_swallows_it_ends_all_the_same() -> None:
    body = Stubborn()
    registry = registry_with(LookTool(body))
    call = ToolCall(call_id="c", name="look", arguments="{}")
    making = asyncio.create_task(execute_call(registry, call, Phase.EXECUTION, context, grace_seconds=0.01))
    await asyncio.wait_for(body.inside.wait(), 5)
    making.cancel()
    await asyncio.wait((making,), timeout=5)
    assert making.cancelled()
    body.released.set()
    await asyncio.wait_for(body.ended.wait(), 5)


async def test_the_late_result_of_a_cancelled_tool_is_kept() -> None:
    async def body(params: ScriptedParameters, context: ToolContext) -> ToolResult:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return ToolResult("half of it")
        raise AssertionError("unreachable")

    result = await execute(registry_with(LookTool(body), timeout_seconds=0.01), "look", "{}")
    assert (result.is_error, result.text) == (False, "half of it")
