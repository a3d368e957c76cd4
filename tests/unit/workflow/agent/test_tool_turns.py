"""The calls of a turn: each gets exactly one answer, readers run side by side, writers alone and in order."""

import asyncio

from pydantic import JsonValue

from shared.config import AgentConfig
from shared.contract.event import ExecuteState
from shared.contract.message import Role
from shared.contract.run import RunStatus, StopReason
from shared.contract.state import AgentState
from tests.fakes.scripted_model import calls, says
from tests.fakes.scripted_tool import ChangeTool, LookTool, ScriptedParameters
from tests.unit.workflow.runner.scene import PLAN, Scene, looks, registry_with
from workflow.errors import SandboxUnavailableError, ToolError
from workflow.service.sandbox.base import Sandbox
from workflow.tool.base import ToolContext, ToolResult


async def answer_number(params: ScriptedParameters, context: ToolContext) -> ToolResult:
    return ToolResult(f"number {params.number}")


class Rendezvous:
    """A body that goes on only when `parties` calls are inside at once; notes who began and who ended."""

    def __init__(self, parties: int) -> None:
        self.began: list[int] = []
        self.ended: list[int] = []
        self.inside = 0
        self.most_inside = 0
        self._parties = parties
        self._complete = asyncio.Event()

    async def __call__(self, params: ScriptedParameters, context: ToolContext) -> ToolResult:
        self.began.append(params.number)
        self.inside += 1
        self.most_inside = max(self.most_inside, self.inside)
        if self.inside >= self._parties:
            self._complete.set()
        await asyncio.wait_for(self._complete.wait(), 5)
        await asyncio.sleep(0)
        self.inside -= 1
        self.ended.append(params.number)
        return ToolResult(f"number {params.number}")


async def test_each_failure_stays_alone_among_parallel_calls() -> None:
    async def body(params: ScriptedParameters, context: ToolContext) -> ToolResult:
        if params.number == 1:
            raise ToolError("the kettle is empty")
        if params.number == 2:
            raise KeyError("a fault of the tool")
        if params.number == 3:
            await asyncio.Event().wait()
        return ToolResult(f"number {params.number}")

    turn = calls(
        ("look", {"number": 0}),
        ("look", {"number": 1}),
        ("look", {"number": 2}),
        ("look", {"number": 3}),
        ("look", "{not json"),
        ("look", {"number": "many"}),
        ("lok", {}),
        ("look", ""),
    )
    scene = Scene([PLAN, turn, says("done")], registry=registry_with(LookTool(body), timeout_seconds=0.05))
    outcome = await scene.play()
    assert outcome.stop_reason is StopReason.COMPLETED
    texts = [m.text() for m in scene.model.requests[2].messages if m.role is Role.TOOL][1:]
    assert texts[0] == "number 0"
    assert texts[1] == "the kettle is empty"
    assert texts[2] == "look failed inside (KeyError). Try it differently."
    assert texts[3] == "look was stopped at its time limit of 0.05 seconds."
    assert texts[4].startswith("The arguments of look are not valid JSON")
    assert "number: " in texts[5]
    assert texts[6].startswith("There is no tool lok. There are: job_plan, ")
    assert texts[7] == "number 0"
    states = [e.current_state for e in scene.log.events if e.execute_type in ("tool_look", "tool_lok")]
    assert states.count(ExecuteState.INIT) == 8
    assert states.count(ExecuteState.ERROR) == 6
    assert states.count(ExecuteState.COMPLETE) == 2
    scene.log.assert_every_init_is_closed_once()


async def test_readers_run_side_by_side() -> None:
    rendezvous = Rendezvous(parties=3)
    turn = looks(0, 1, 2)
    scene = Scene([PLAN, turn, says("done")], registry=registry_with(LookTool(rendezvous)))
    await scene.play()
    assert rendezvous.most_inside == 3


async def test_a_writer_runs_alone_and_in_its_place() -> None:
    order: list[str] = []

    async def note(params: ScriptedParameters, context: ToolContext) -> ToolResult:
        order.append(f"in {params.number}")
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        order.append(f"out {params.number}")
        return ToolResult("ok")

    turn = calls(
        ("change", {"number": 0}), ("change", {"number": 1}), ("look", {"number": 2}), ("change", {"number": 3})
    )
    scene = Scene([PLAN, turn, says("done")], registry=registry_with(LookTool(note), ChangeTool(note)))
    await scene.play()
    assert order == [f"{way} {number}" for number in range(4) for way in ("in", "out")]


async def test_a_writer_has_its_intent_written_before_and_after_its_neighbours_ended() -> None:
    turn = calls(("look", {"number": 0}), ("change", {"number": 1}))
    tools = (LookTool(answer_number), ChangeTool(answer_number))
    scene = Scene([PLAN, turn, says("done")], registry=registry_with(*tools))
    await scene.play()
    assert [kind for kind in scene.log.kinds() if kind[0] in ("tool_look", "tool_change")] == [
        ("tool_look", "init"), ("tool_look", "complete"), ("tool_change", "init"), ("tool_change", "complete"),
    ]  # fmt: skip


async def test_no_more_calls_run_at_once_than_configured() -> None:
    rendezvous = Rendezvous(parties=2)
    turn = looks(*range(6))
    registry = registry_with(LookTool(rendezvous))
    scene = Scene([PLAN, turn, says("done")], registry=registry, config=AgentConfig(max_parallel_tools=2))
    await scene.play()
    assert rendezvous.most_inside == 2
    assert sorted(rendezvous.ended) == list(range(6))


async def test_answers_reach_the_model_in_call_order_whatever_ends_first() -> None:
    last_is_done = asyncio.Event()

    async def backwards(params: ScriptedParameters, context: ToolContext) -> ToolResult:
        if params.number == 0:
            await asyncio.wait_for(last_is_done.wait(), 5)
        else:
            last_is_done.set()
        return ToolResult(f"number {params.number}")

    turn = looks(0, 1)
    scene = Scene([PLAN, turn, says("done")], registry=registry_with(LookTool(backwards)))
    await scene.play()
    assert [text for _, text in scene.answers()][1:] == ["number 1", "number 0"], "written as they ended"
    assert [m.text() for m in scene.model.requests[2].messages[-2:]] == ["number 0", "number 1"]


async def test_the_same_call_ids_in_a_later_turn_get_answers_of_their_own() -> None:
    first, second = looks(1), looks(2)
    scene = Scene([PLAN, first, second, says("done")], registry=registry_with(LookTool(answer_number)))
    await scene.play()
    texts = [m.text() for m in scene.model.requests[3].messages if m.role is Role.TOOL]
    assert texts[1:] == ["number 1", "number 2"]


async def test_a_long_result_reaches_the_model_with_head_and_tail() -> None:
    async def talk(params: ScriptedParameters, context: ToolContext) -> ToolResult:
        return ToolResult("head" + "x" * 5000 + "tail")

    registry = registry_with(LookTool(talk), max_output_chars=300)
    scene = Scene([PLAN, calls(("look", {})), says("done")], registry=registry)
    await scene.play()
    text = scene.answers()[1][1]
    assert text.startswith("head")
    assert text.endswith("tail")
    assert "4708 characters left out" in text
    assert len(text) < 400


async def test_without_a_sandbox_the_run_ends_with_every_call_answered() -> None:
    async def none_to_be_had() -> Sandbox:
        raise SandboxUnavailableError("bubblewrap is missing; set sandbox.isolation = process.")

    turn = calls(("ls", {"path": "."}), ("look", {"number": 1}), ("change", {"number": 2}))
    tools = (LookTool(answer_number), ChangeTool(answer_number))
    scene = Scene([PLAN, turn], registry=registry_with(*tools), sandbox=none_to_be_had)
    outcome = await scene.play()
    assert outcome.stop_reason is StopReason.SANDBOX_ERROR
    assert outcome.status is RunStatus.FAILED
    assert "bubblewrap is missing" in outcome.message
    assert ("tool_look", "complete") in scene.log.kinds(), "the call beside it keeps its answer"
    assert ("tool_ls", "error") in scene.log.kinds()
    assert ("tool_change", "init") not in scene.log.kinds(), "what comes after is not begun"
    scene.log.assert_every_init_is_closed_once()


async def test_output_as_it_comes_stands_between_init_and_end() -> None:
    async def talk(params: ScriptedParameters, context: ToolContext) -> ToolResult:
        await context.progress({"tool_look_result": "so far"})
        return ToolResult("all", {"tool_look_result": "all"})

    scene = Scene([PLAN, calls(("look", {})), says("done")], registry=registry_with(LookTool(talk)))
    await scene.play()
    events = [e for e in scene.log.events if e.execute_type == "tool_look"]
    assert [e.current_state for e in events] == ["init", "processing", "complete"]
    assert len({e.uuid for e in events}) == 1


async def test_a_state_that_a_call_changed_is_written_with_its_result() -> None:
    todo: dict[str, JsonValue] = {"id": "1", "content": "boil", "status": "pending", "priority": "high"}
    scene = Scene([PLAN, calls(("todo_write", {"todos": [todo]})), calls(("todo_read", {})), says("done")])
    await scene.play()
    written = next(c for c in scene.log.commits if c.state is not None and c.state.todos)
    assert [m.tool_call_id for m in written.messages] == ["call_todo_write_0"]
    assert written.state == AgentState.model_validate({**scene.journal.state.model_dump(), "todos": [todo]})
    assert "boil" in scene.answers()[2][1]
