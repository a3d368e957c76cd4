"""A fault in a plug-in's code fails its own call, and nothing else."""

import asyncio
from collections.abc import Callable
from typing import Any

import orjson
import pytest

from shared.contract.run import StopReason
from shared.contract.state import AgentState, Phase
from tests.fakes.scripted_model import calls, says
from tests.fakes.scripted_tool import LookTool, ScriptedParameters
from tests.unit.workflow.runner.scene import PLAN, Scene, looks, registry_with
from workflow.tool.base import ToolContext, ToolResult
from workflow.tool.checked_result import MAX_RESULT_BYTES, plain_json
from workflow.tool.registry import ToolRegistry


class OddError(BaseException):
    """What no code should raise."""


def circle() -> dict[str, Any]:
    value: dict[str, Any] = {}
    value["again"] = value
    return value


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


def refuse(state: AgentState) -> AgentState:
    raise ZeroDivisionError


def returning(make: Callable[[], Any]) -> LookTool:
    async def body(params: ScriptedParameters, context: ToolContext) -> ToolResult:
        result: ToolResult = make()
        return result

    return LookTool(body)


def raising(error: BaseException) -> Callable[[], Any]:
    def make() -> Any:
        raise error

    return make


BAD = {
    "SystemExit": raising(SystemExit(3)), "KeyboardInterrupt": raising(KeyboardInterrupt()),
    "GeneratorExit": raising(GeneratorExit()), "BaseException": raising(OddError()),
    "a group": raising(BaseExceptionGroup("both", [SystemExit(), ValueError()])), "nothing": lambda: None,
    "a text": lambda: "done", "text is bytes": lambda: ToolResult(b"x"),  # type: ignore[arg-type]  # the fault itself
    "result is a list": lambda: ToolResult("x", [1]),  # type: ignore[arg-type]  # the fault itself
    "bytes inside": lambda: ToolResult("x", {"r": b"x"}),  # type: ignore[dict-item]  # the fault itself
    "surrogates": lambda: ToolResult("x", {"r": "\ud800"}), "circle": lambda: ToolResult("x", {"r": circle()}),
    "deep": lambda: ToolResult("x", {"r": nested(100_000)}),
    "number as name": lambda: ToolResult("x", {"r": {1: 2}}),  # type: ignore[dict-item]  # the fault itself
    "type of event": lambda: ToolResult("x", execute_type=7),  # type: ignore[arg-type]  # the fault itself
    "state that fails": lambda: ToolResult("x", state=refuse),
    "state of nothing": lambda: ToolResult("x", state=lambda _: None),  # type: ignore[arg-type, return-value]  # same
}  # fmt: skip


@pytest.mark.parametrize("make", BAD.values(), ids=BAD)
async def test_a_fault_of_a_tool_costs_its_own_call(make: Callable[[], Any]) -> None:
    turn = calls(("look", {"number": 1}), ("glob", {"pattern": "*"}))
    scene = Scene([PLAN, turn, says("done")], registry=registry_with(returning(make)))
    assert (await scene.play()).stop_reason is StopReason.COMPLETED
    (_, (_, text), (_, other)) = scene.answers()
    assert text
    assert other, "the call beside it has its answer"
    assert scene.log.kinds().count(("tool_look", "error")) + scene.log.kinds().count(("tool_look", "complete")) == 1
    assert all(event.to_json() for event in scene.log.events)


@pytest.mark.parametrize(
    "result",
    [
        ToolResult("\ud800" + "x" * 10_000_000),
        ToolResult("x", {"r": "y" * 20_000_000}),
        ToolResult("x", {"r": [{"a": "b"}] * 1_000_000}),
        ToolResult("x", {"r": float("nan")}),
        ToolResult("x", {"r": nested(150)}),
    ],
    ids=["long text", "large result", "many members", "not a number", "nested"],
)
async def test_what_is_too_large_or_odd_is_written_all_the_same(result: ToolResult) -> None:
    scene = Scene([PLAN, looks(1), says("done")], registry=registry_with(returning(lambda: result)))
    assert (await scene.play()).stop_reason is StopReason.COMPLETED
    assert scene.log.kinds().count(("tool_look", "complete")) == 1
    assert len(scene.answers()[-1][1]) < 31_000
    scene.answers()[-1][1].encode()
    assert sum(len(event.to_json()) for event in scene.log.events) < MAX_RESULT_BYTES
    assert scene.journal.state.phase is Phase.EXECUTION


async def test_progress_that_is_no_json_fails_its_own_call() -> None:
    async def body(params: ScriptedParameters, context: ToolContext) -> ToolResult:
        await context.progress({"r": circle()})
        return ToolResult("x")

    scene = Scene([PLAN, looks(1), says("done")], registry=registry_with(LookTool(body)))
    assert (await scene.play()).stop_reason is StopReason.COMPLETED
    assert "cannot be written" in scene.answers()[-1][1] or "larger" in str(scene.log.events)


def test_ordinary_results_stay_as_they_are() -> None:
    result = {"r": {"text": "é\n", "numbers": [1, 2.5, None, True], "deep": nested(100)}}
    assert plain_json(result) == result
    assert orjson.loads(orjson.dumps(plain_json(result))) == result


async def test_a_call_cannot_change_the_options_of_later_ones() -> None:
    registry = ToolRegistry.from_config({}, plugins=())
    options: Any = registry.get("bash").options
    with pytest.raises(TypeError):
        options["x"] = 1
    await asyncio.sleep(0)
