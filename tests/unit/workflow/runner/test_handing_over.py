"""A run that is handed over at a journal point or at once, or whose lease is lost."""

import asyncio

import pytest

from shared.contract.run import StopReason
from shared.errors import LeaseLostError
from tests.fakes.fake_run_log import Commit, FakeRunLog, SlowCommit
from tests.fakes.scripted_model import hangs, says
from tests.fakes.scripted_tool import ChangeTool, LookTool, ScriptedParameters
from tests.unit.workflow.agent.test_tool_turns import answer_number
from tests.unit.workflow.runner.scene import PLAN, Scene, looks, registry_with
from tests.unit.workflow.runner.test_stopping import HangingBody, within_bounds
from workflow.journal.outcome import Outcome
from workflow.journal.ports import Stop
from workflow.tool.base import ToolContext, ToolResult


async def test_a_run_handed_over_at_once_leaves_its_calls_open() -> None:
    body = HangingBody(parties=2)
    scene = Scene([PLAN, looks(1, 2)], registry=registry_with(LookTool(body)))
    run = asyncio.create_task(scene.execute())
    await within_bounds(body.all_inside)
    scene.cancellation.stop(Stop.HAND_OVER)
    assert await asyncio.wait_for(run, 5) is None
    assert body.cancelled == 2
    assert scene.log.kinds()[-2:] == [("tool_look", "init")] * 2
    state = scene.log.commits[-1].state
    assert state is not None
    assert [each.call_id for each in state.in_flight] == ["call_look_0", "call_look_1"]
    assert [each.uuid for each in state.in_flight] == [event.uuid for event in scene.log.events[-2:]]


async def test_a_run_handed_over_at_once_closes_its_model_call() -> None:
    scene = Scene([hangs(after="so far")])
    run = asyncio.create_task(scene.execute())
    await within_bounds(scene.model.answering)
    scene.cancellation.stop(Stop.HAND_OVER)
    assert await asyncio.wait_for(run, 5) is None
    assert scene.model.closed == 1
    assert scene.log.kinds() == [("user_message", "complete")]


async def test_a_write_under_way_at_the_hand_over_is_completed_first() -> None:
    def fits(commit: Commit) -> bool:
        return any(event.execute_type == "tool_look" and event.current_state == "complete" for event in commit.events)

    slow = SlowCommit(fits, asyncio.Event(), asyncio.Event())
    scene = Scene([PLAN, looks(1)], registry=registry_with(LookTool(answer_number)), log=FakeRunLog(slow=slow))
    run = asyncio.create_task(scene.execute())
    await within_bounds(slow.begun)
    scene.cancellation.stop(Stop.HAND_OVER)
    for _ in range(10):
        await asyncio.sleep(0)  # the stop is under way while the write is held
    assert not run.done()
    slow.release.set()
    assert await asyncio.wait_for(run, 5) is None
    assert scene.answers()[-1][1] == "number 1"
    assert scene.journal.state.in_flight == ()


async def test_a_run_leaves_at_its_next_journal_point_when_asked_to() -> None:
    async def ask_to_leave(params: ScriptedParameters, context: ToolContext) -> ToolResult:
        scene.cancellation.hand_over()
        return ToolResult("looked")

    scene = Scene([PLAN, looks(1, 2), says("never")], registry=registry_with(LookTool(ask_to_leave)))
    assert await asyncio.wait_for(scene.execute(), 5) is None
    assert scene.model.unused == 1, "no further model call"
    assert [text for _, text in scene.answers()[1:]] == ["looked"] * 2
    assert scene.journal.state.in_flight == ()
    scene.log.assert_every_init_is_closed_once()


async def test_a_run_that_ends_in_the_step_in_which_it_should_leave_has_ended() -> None:
    scene = Scene([says("done")])
    run = asyncio.create_task(scene.execute())
    await within_bounds(scene.model.answering)
    scene.cancellation.hand_over()
    outcome = await asyncio.wait_for(run, 5)
    assert isinstance(outcome, Outcome)
    assert outcome.stop_reason is StopReason.COMPLETED


async def test_a_run_that_should_leave_before_its_first_step_asks_no_model() -> None:
    scene = Scene([says("never")])
    scene.cancellation.hand_over()
    assert await asyncio.wait_for(scene.execute(), 5) is None
    assert scene.model.requests == []
    assert scene.log.kinds() == [("user_message", "complete")]


async def test_a_lost_lease_stops_the_tools_and_writes_nothing() -> None:
    body = HangingBody(parties=1)
    scene = Scene([PLAN, looks(1, tool="change")], registry=registry_with(ChangeTool(body)))
    run = asyncio.create_task(scene.execute())
    await within_bounds(body.all_inside)
    written = len(scene.log.events)
    scene.cancellation.stop(Stop.LEASE_LOST)
    with pytest.raises(LeaseLostError):
        await asyncio.wait_for(run, 5)
    assert body.cancelled == 1
    assert len(scene.log.events) == written


async def test_a_call_is_in_flight_exactly_from_its_init_to_its_end() -> None:
    tools = registry_with(LookTool(answer_number), ChangeTool(answer_number))
    scene = Scene([PLAN, looks(1, 2), looks(3, tool="change"), says("done")], registry=tools)
    await scene.play()
    begun: set[str] = set()
    for commit in scene.log.commits:
        for event in commit.events:
            if event.current_state == "init":
                begun.add(event.uuid)
            else:
                begun.discard(event.uuid)
        if commit.state is not None:
            assert {each.uuid for each in commit.state.in_flight} == begun
        else:
            assert not any(event.execute_type.startswith("tool_") for event in commit.events)
    assert begun == set()
