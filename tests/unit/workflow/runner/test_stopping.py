"""A run that is stopped from outside: nothing stays open, nothing is half written, nothing is written twice."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress

import pytest

from shared.contract.event import ExecuteState
from shared.contract.run import Question, QuestionKind, RunStatus, StopReason
from shared.contract.state import AgentState
from shared.errors import LeaseLostError
from tests.fakes.fake_run_log import Commit, FakeRunLog, SlowCommit
from tests.fakes.scripted_model import DEFAULT_USAGE, ScriptedModel, hangs, says
from tests.fakes.scripted_tool import ChangeTool, LookTool, ScriptedParameters
from tests.unit.workflow.agent.test_tool_turns import answer_number
from tests.unit.workflow.runner.scene import PLAN, Scene, looks, registry_with
from workflow.agent.agent import Agent
from workflow.journal.limits import Limits
from workflow.journal.outcome import Outcome
from workflow.journal.ports import Stop
from workflow.llm.model import FinishReason, ModelAnswer, ModelRequest, StreamItem, TextDelta
from workflow.runner.runner import Runner
from workflow.tool.base import ToolContext, ToolResult


class HangingBody:
    """Never ends; `parties` calls must be inside for `all_inside`; counts those that were cancelled."""

    def __init__(self, parties: int) -> None:
        self.all_inside = asyncio.Event()
        self.cancelled = 0
        self._left = parties

    async def __call__(self, params: ScriptedParameters, context: ToolContext) -> ToolResult:
        self._left -= 1
        if not self._left:
            self.all_inside.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        raise AssertionError("unreachable")


async def within_bounds(event: asyncio.Event) -> None:
    await asyncio.wait_for(event.wait(), 5)


async def test_a_cancel_in_the_middle_of_a_model_call_closes_the_stream() -> None:
    scene = Scene([hangs(after="so far")])
    run = asyncio.create_task(scene.play())
    await within_bounds(scene.model.answering)
    scene.cancellation.cancel()
    outcome = await asyncio.wait_for(run, 5)
    assert (outcome.stop_reason, outcome.status, outcome.is_failure) == (
        StopReason.CANCELLED, RunStatus.CANCELLED, False,
    )  # fmt: skip
    assert scene.model.closed == 1
    assert scene.log.kinds() == [("user_message", "complete")]


async def test_a_cancel_in_the_middle_of_tools_closes_every_call_once() -> None:
    body = HangingBody(parties=2)
    scene = Scene([PLAN, looks(1, 2)], registry=registry_with(LookTool(body)))
    run = asyncio.create_task(scene.play())
    await within_bounds(body.all_inside)
    scene.cancellation.cancel()
    outcome = await asyncio.wait_for(run, 5)
    assert outcome.stop_reason is StopReason.CANCELLED
    assert body.cancelled == 2
    scene.log.assert_every_init_is_closed_once()
    assert [state for kind, state in scene.log.kinds() if kind == "tool_look"] == ["init", "init", "error", "error"]
    assert [text for _, text in scene.answers()[1:]] == ["The run ended before this call did: cancelled."] * 2


async def test_a_run_out_of_time_in_the_middle_of_a_tool_closes_its_call() -> None:
    body = HangingBody(parties=1)
    scene = Scene([PLAN, looks(1)], registry=registry_with(LookTool(body)), parameters={"max_duration": 0.05})
    outcome = await scene.play()
    assert outcome.stop_reason is StopReason.MAX_DURATION
    assert body.cancelled == 1
    scene.log.assert_every_init_is_closed_once()


@pytest.mark.parametrize("what", ["answer", "begin", "end"])
async def test_a_write_under_way_at_the_cancel_is_completed_and_remembered_once(what: str) -> None:
    def fits(commit: Commit) -> bool:
        look = [event for event in commit.events if event.execute_type == "tool_look"]
        if what == "answer":
            return any(call.name == "look" for message in commit.messages for call in message.tool_calls)
        state = ExecuteState.INIT if what == "begin" else ExecuteState.COMPLETE
        return bool(look) and look[0].current_state is state

    slow = SlowCommit(fits, asyncio.Event(), asyncio.Event())
    scene = Scene([PLAN, looks(1)], registry=registry_with(LookTool(answer_number)), log=FakeRunLog(slow=slow))
    run = asyncio.create_task(scene.play())
    await within_bounds(slow.begun)
    scene.cancellation.cancel()
    for _ in range(10):
        await asyncio.sleep(0)  # the cancel is under way while the write is held
    slow.release.set()
    outcome = await asyncio.wait_for(run, 5)
    assert outcome.stop_reason is StopReason.CANCELLED
    scene.log.assert_every_init_is_closed_once()
    assert scene.journal.messages == scene.log.messages
    assert len({(m.role, m.tool_call_id, m.tool_calls) for m in scene.log.messages}) == len(scene.log.messages)
    assert outcome.usage.steps == 2
    if what == "end":
        assert scene.answers()[-1][1] == "number 1", "the answer that was being written is the one that stands"


async def test_a_cancel_before_the_first_step_ends_the_run() -> None:
    scene = Scene([hangs()])
    scene.cancellation.cancel()
    assert (await asyncio.wait_for(scene.play(), 5)).stop_reason is StopReason.CANCELLED


async def test_a_cancelled_caller_is_cancelled_even_while_its_run_is_being_stopped() -> None:
    inside, leaving, may_leave = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def slow_to_leave(params: ScriptedParameters, context: ToolContext) -> ToolResult:
        inside.set()
        try:
            await asyncio.Event().wait()
        finally:
            leaving.set()
            await asyncio.wait_for(may_leave.wait(), 5)
        raise AssertionError("unreachable")

    scene = Scene([PLAN, looks(1)], registry=registry_with(LookTool(slow_to_leave)))
    run = asyncio.create_task(scene.play())
    await within_bounds(inside)
    scene.cancellation.cancel()
    await within_bounds(leaving)
    run.cancel()
    await asyncio.sleep(0)
    may_leave.set()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(run, 5)


@pytest.mark.parametrize("lost_at", range(7))
async def test_a_lost_lease_ends_the_run_and_nothing_more_is_written(lost_at: int) -> None:
    log = FakeRunLog(lost_at=lost_at)
    tools = registry_with(LookTool(answer_number))
    scene = Scene([PLAN, looks(1, 2), says("done")], registry=tools, log=log)
    with pytest.raises(LeaseLostError):
        await asyncio.wait_for(scene.play(), 5)
    assert len(log.commits) == lost_at
    assert log.refused <= 2, "two parallel calls may both notice, then the run is over"


async def test_a_lease_lost_while_text_streams_closes_the_model() -> None:
    scene = Scene([says("many words come")], log=FakeRunLog(lost_at=1))
    with pytest.raises(LeaseLostError):
        await scene.play()
    assert scene.model.closed == 1
    assert scene.log.refused == 1


async def test_a_failing_change_of_state_fails_its_call_alone() -> None:
    async def break_state(params: ScriptedParameters, context: ToolContext) -> ToolResult:
        def change(state: AgentState) -> AgentState:
            raise KeyError("a fault of the tool")

        return ToolResult("ok", state=change)

    scene = Scene([PLAN, looks(1, tool="change"), says("Done.")], registry=registry_with(ChangeTool(break_state)))
    outcome = await scene.play()
    scene.log.assert_every_init_is_closed_once()
    assert isinstance(outcome, Outcome)
    assert outcome.stop_reason is StopReason.COMPLETED
    assert "change of the agent's state failed (KeyError)" in scene.answers()[-1][1]


class AskingAgent(Agent):
    """Has a question for a person in the moment in which the run is stopped."""

    def __init__(self, scene: Scene, stop: Stop) -> None:
        self._scene = scene
        self._stop = stop

    async def resume(self) -> Outcome | Question | None:
        self._scene.cancellation.stop(self._stop)
        return Question(kind=QuestionKind.APPROVAL, call_id="c", question="?")


@pytest.mark.parametrize(("stop", "waits"), [(Stop.CANCELLED, False), (Stop.HAND_OVER, True)])
async def test_nobody_is_asked_for_a_run_that_is_cancelled_meanwhile(stop: Stop, waits: bool) -> None:
    scene = Scene([])
    runner = Runner(AskingAgent(scene, stop), scene.journal, Limits.of(scene.config, {}))
    outcome = await asyncio.wait_for(runner.run(scene.cancellation), 5)
    assert isinstance(outcome, Question) is waits
    assert waits or (isinstance(outcome, Outcome) and outcome.stop_reason is StopReason.CANCELLED)


class LeavingModel(ScriptedModel):
    """Asks the process to exit."""

    async def stream(self, request: ModelRequest) -> AsyncGenerator[StreamItem, None]:
        yield TextDelta("I ")
        raise SystemExit(1)


async def test_a_model_that_asks_to_exit_fails_its_run_alone() -> None:
    scene = Scene([])
    scene.model = LeavingModel([])
    with pytest.raises(RuntimeError, match="asked the process to exit"):
        await scene.execute()


class SelfCancelledModel(ScriptedModel):
    """Awaits something of its own that was cancelled."""

    async def stream(self, request: ModelRequest) -> AsyncGenerator[StreamItem, None]:
        yield TextDelta("I ")
        other: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        other.cancel()
        await other


async def test_a_model_that_is_cancelled_from_within_fails_its_run_and_is_no_lost_worker() -> None:
    scene = Scene([])
    scene.model = SelfCancelledModel([])
    with pytest.raises(RuntimeError, match="cancelled from within"):
        await scene.execute()


class StubbornModel(ScriptedModel):
    """Swallows every cancellation until it is released, and then answers."""

    def __init__(self) -> None:
        super().__init__([])
        self.released, self.ended = asyncio.Event(), asyncio.Event()

    async def stream(self, request: ModelRequest) -> AsyncGenerator[StreamItem, None]:
        self.answering.set()
        while not self.released.is_set():
            with suppress(asyncio.CancelledError):
                await self.released.wait()
        try:
            yield TextDelta("too ")
            yield ModelAnswer("too late", (), FinishReason.STOP, DEFAULT_USAGE)
        finally:
            self.ended.set()


@pytest.mark.parametrize("reason", [Stop.CANCELLED, Stop.HAND_OVER, Stop.LEASE_LOST, None])
async def test_a_model_that_swallows_the_stop_is_abandoned_and_writes_nothing(reason: Stop | None) -> None:
    scene = Scene([], parameters={"max_duration": 0.05} if reason is None else {}, grace_seconds=0.01)
    model = scene.model = StubbornModel()
    run = asyncio.create_task(scene.execute())
    await within_bounds(model.answering)
    if reason is not None:
        scene.cancellation.stop(reason)
    await asyncio.wait((run,), timeout=5)
    if reason is Stop.LEASE_LOST:
        assert isinstance(run.exception(), LeaseLostError)
    elif reason is Stop.HAND_OVER:
        assert run.result() is None
    else:
        outcome = run.result()
        assert isinstance(outcome, Outcome)
        assert outcome.stop_reason == (StopReason.CANCELLED if reason else StopReason.MAX_DURATION)
    written = (len(scene.log.events), len(scene.log.messages))
    model.released.set()
    await within_bounds(model.ended)
    assert (len(scene.log.events), len(scene.log.messages)) == written
