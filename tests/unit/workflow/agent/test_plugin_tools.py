"""What a plug-in tool says of itself in class variables counts as it does for the built-in tools."""

from importlib.metadata import EntryPoint

import pytest

from shared.config import ToolConfig
from shared.contract.message import ChatMessage, Role, ToolCall
from shared.contract.run import Answer, StopReason
from shared.contract.state import AgentState, Phase
from tests.fakes.scripted_model import calls, says
from tests.unit.workflow.runner.scene import PLAN, Scene
from workflow.service.sandbox.base import WorkspacePlace
from workflow.tool.base import Effect, Parameters, Tool, ToolContext, ToolResult
from workflow.tool.registry import ToolRegistry
from workflow.tool.streamed_output import LIVE_OUTPUT_CHARS

TASK = ChatMessage(role=Role.USER, content="make tea", run_id="r1")
EARLIER_CALL = ChatMessage(
    role=Role.ASSISTANT, content="", tool_calls=(ToolCall(call_id="e", name="kettle", arguments="{}"),), run_id="r1"
)
EARLIER_RESULT = ChatMessage(role=Role.TOOL, content="ok", tool_call_id="e", run_id="r1")
EARLIER = (TASK, EARLIER_CALL, EARLIER_RESULT)


class KettleTool(Tool[Parameters]):
    """Boils water."""

    name = "kettle"
    description = "Boil water."
    parameters = Parameters
    effect = Effect(read_only=False, idempotent=True, destructive=False)

    async def run(self, params: Parameters, context: ToolContext) -> ToolResult:
        return ToolResult("It boils.")


class AloneTool(KettleTool):
    exclusive = True


class EarlyTool(KettleTool):
    phase = Phase.PLANNING


class PlanningTool(EarlyTool):
    """Begins the execution."""

    ends_planning = True

    async def run(self, params: Parameters, context: ToolContext) -> ToolResult:
        return ToolResult("Go.", state=lambda state: state.model_copy(update={"phase": Phase.EXECUTION}))


class FileTool(KettleTool):
    uses_workspace = True


class ServerTool(KettleTool):
    keeps_processes = True


class AskingTool(KettleTool):
    """Asks which tea; without a question when it is told to forget it."""

    exclusive = True
    asks_user = True

    async def run(self, params: Parameters, context: ToolContext) -> ToolResult:
        return ToolResult("Asked.", {"interrupt_result": {"question": "Which tea?", "options": ["green", "black"]}})


class ForgetfulTool(AskingTool):
    """Forgets its question."""

    async def run(self, params: Parameters, context: ToolContext) -> ToolResult:
        return ToolResult("Asked.", {"interrupt_result": {"options": ["green", "black"]}})


class StreamingTool(KettleTool):
    """Sends more than one call may."""

    streamed_field = "steam"

    async def run(self, params: Parameters, context: ToolContext) -> ToolResult:
        for _ in range(5):
            await context.progress({"tool_kettle_result": {"steam": "s" * (LIVE_OUTPUT_CHARS // 4), "bar": 1}})
        return ToolResult("It boils.")


def installed(tool: type[KettleTool], **configs: ToolConfig) -> ToolRegistry:
    """Return the tools of an installation with this one as the plug-in `kettle`."""
    point = EntryPoint("kettle", f"{__name__}:{tool.__name__}", "baud.tools")
    return ToolRegistry.from_config(configs, plugins=[point])


async def test_calls_beside_an_exclusive_plugin_are_refused() -> None:
    scene = Scene([PLAN, calls(("todo_read", {}), ("kettle", {})), says("done")], registry=installed(AloneTool))
    await scene.play()
    assert dict(scene.answers())["call_kettle_1"] == "It boils."
    assert "kettle must be the only call of its turn" in dict(scene.answers())["call_todo_read_0"]


async def test_a_plugin_for_planning_is_offered_and_run_before_there_is_a_plan() -> None:
    scene = Scene([calls(("kettle", {})), says("done")], registry=installed(EarlyTool))
    await scene.play()
    assert {spec.name for spec in scene.model.requests[0].tools} == {"job_plan", "ask_user", "kettle"}
    assert scene.answers() == [("call_kettle_0", "It boils.")]


async def test_a_plugin_that_ends_planning_stands_in_for_job_plan() -> None:
    registry = installed(PlanningTool, job_plan=ToolConfig(enabled=False))
    scene = Scene([calls(("todo_read", {})), calls(("kettle", {})), says("done")], registry=registry)
    await scene.play()
    assert {spec.name for spec in scene.model.requests[0].tools} == {"ask_user", "kettle"}
    assert "Call kettle first" in dict(scene.answers())["call_todo_read_0"]
    assert "bash" in {spec.name for spec in scene.model.requests[2].tools}


async def test_a_run_waits_for_the_answer_to_a_plugins_question() -> None:
    registry = installed(AskingTool)
    first = Scene([PLAN, calls(("kettle", {}))], registry=registry)
    question = await first.ask()
    assert (question.call_id, question.question, question.options) == (
        "call_kettle_0", "Which tea?", ("green", "black"),
    )  # fmt: skip
    answer = Answer(call_id=question.call_id, text="green")
    messages, state = first.journal.messages, first.journal.state
    second = Scene([says("done")], registry=registry, messages=messages, state=state, attempts=2, answer=answer)
    await second.play()
    assert second.answers() == [("call_kettle_0", "The user answered: green")]


async def test_a_plugin_that_returns_no_question_fails_its_own_call_only() -> None:
    scene = Scene([PLAN, calls(("kettle", {})), says("done")], registry=installed(ForgetfulTool))
    outcome = await scene.play()
    assert outcome.stop_reason is StopReason.COMPLETED
    assert "returned no interrupt_result with a question" in dict(scene.answers())["call_kettle_0"]


async def test_the_disk_of_a_plugins_files_is_written_before_its_call_ends() -> None:
    place = WorkspacePlace("here", has_files=True)
    scene = Scene([PLAN, calls(("kettle", {})), says("done")], registry=installed(FileTool), place=place)
    await scene.play()
    begun = next(commit for commit in scene.log.commits if commit.state is not None and commit.state.in_flight
                 and commit.state.in_flight[0].name == "kettle")  # fmt: skip
    assert begun.state is not None
    assert begun.state.workspace_disk == "here"


@pytest.mark.parametrize(
    ("tool", "has_files", "notes"),
    [
        (FileTool, False, ["are not here"]),
        (KettleTool, False, []),
        (ServerTool, True, ["in the background are gone"]),
        (FileTool, True, []),
    ],
    ids=["files gone", "no files", "processes gone", "no processes"],
)
async def test_the_model_is_told_what_of_a_plugins_work_is_gone(
    tool: type[KettleTool], has_files: bool, notes: list[str]
) -> None:
    state, place = AgentState(phase=Phase.EXECUTION), WorkspacePlace("here", has_files=has_files)
    scene = Scene([says("done")], registry=installed(tool), messages=EARLIER, state=state, attempts=2, place=place)
    await scene.play()
    told = [message.text() for message in scene.log.messages if message.role is Role.USER]
    assert len(told) == len(notes)
    assert all(note in text for note, text in zip(notes, told, strict=True))


async def test_what_one_call_streams_is_limited_and_says_so() -> None:
    scene = Scene([PLAN, calls(("kettle", {})), says("done")], registry=installed(StreamingTool))
    await scene.play()
    pieces = [e for e in scene.log.events if (e.execute_type, e.current_state) == ("tool_kettle", "processing")]
    shown = [(event.execute_result or {})["tool_kettle_result"] for event in pieces]
    texts = [piece["steam"] for piece in shown if isinstance(piece, dict)]
    assert "".join(map(str, texts)) == "s" * LIVE_OUTPUT_CHARS + "\n[further output is not shown as it comes]\n"
    assert all(isinstance(piece, dict) and piece["bar"] == 1 for piece in shown)
