"""The events of a run come in the order that the API promises."""

from shared.contract.event import AgentExecuteData, ExecuteType
from shared.contract.message import Role
from shared.contract.run import StopReason, Usage
from tests.fakes.fake_clock import FakeClock
from tests.fakes.scripted_model import calls, says
from tests.fakes.scripted_tool import LookTool
from tests.unit.workflow.agent.test_tool_turns import answer_number
from tests.unit.workflow.runner.scene import NOW, PLAN, Scene, registry_with
from workflow.journal.events import EventFactory
from workflow.journal.outcome import Outcome


async def play_run() -> Scene:
    turn = calls(("look", {"number": 1}), ("look", {"number": 2}), text="I look twice")
    scene = Scene([PLAN, turn, says("All done")], registry=registry_with(LookTool(answer_number)))
    await scene.play()
    return scene


async def test_the_events_of_a_run_are_in_order() -> None:
    scene = await play_run()
    assert scene.log.kinds() == [
        ("user_message", "complete"),
        ("tool_job_plan", "init"), ("tool_job_plan", "complete"),
        ("assistant_response", "complete"),
        ("tool_look", "init"), ("tool_look", "init"), ("tool_look", "complete"), ("tool_look", "complete"),
        ("assistant_response", "complete"),
    ]  # fmt: skip
    scene.log.assert_every_init_is_closed_once()


async def test_deltas_stand_before_their_response_and_add_up_to_it() -> None:
    scene = await play_run()
    text = ""
    for event in scene.log.events:
        result = event.execute_result or {}
        if event.execute_type == ExecuteType.ASSISTANT_DELTA:
            delta = result["assistant_delta"]
            assert isinstance(delta, dict)
            assert delta["kind"] == "content"
            text += str(delta["text"])
        elif event.execute_type == ExecuteType.ASSISTANT_RESPONSE:
            assert result["assistant_response_result"] == text
            text = ""
    assert text == ""


async def test_each_event_names_its_run_and_carries_times_with_an_offset() -> None:
    scene = await play_run()
    assert all(event.run_id == "r1" for event in scene.log.events)
    for event in scene.log.events:
        if event.execute_type == ExecuteType.ASSISTANT_DELTA:  # compact
            continue
        assert event.thread_id == "t1"
        assert event.create_at == event.modify_at == event.execute_start_at == NOW
        assert event.execute_end_at == (NOW if event.current_state in ("complete", "error") else None)
        assert b"null" not in event.to_json()
        assert b"\n" not in event.to_json()
        assert AgentExecuteData.model_validate_json(event.to_json()) == event


async def test_an_init_holds_the_arguments_of_the_call() -> None:
    script = [PLAN, calls(("look", {"number": 7}), ("look", "[1, 2]"), ("look", "{bad"), ("look", "")), says("ok")]
    scene = Scene(script, registry=registry_with(LookTool(answer_number)))
    await scene.play()
    inits = [e.execute_params for e in scene.log.events if e.current_state == "init"][1:]
    assert inits == [{"number": 7}, {"arguments": "[1, 2]"}, {"arguments": "{bad"}, {}]


async def test_a_failed_call_carries_its_text_to_the_client() -> None:
    scene = Scene([PLAN, calls(("look", "{bad")), says("ok")], registry=registry_with(LookTool(answer_number)))
    await scene.play()
    (error,) = [e for e in scene.log.events if e.current_state == "error"]
    assert error.error_flag
    assert error.execute_result is not None
    assert "not valid JSON" in str(error.execute_result["error"])


async def test_messages_are_stamped_and_an_answer_is_written_before_its_calls_begin() -> None:
    scene = await play_run()
    assert [m.role for m in scene.log.messages] == [
        Role.USER, Role.ASSISTANT, Role.TOOL, Role.ASSISTANT, Role.TOOL, Role.TOOL, Role.ASSISTANT,
    ]  # fmt: skip
    assert {(m.run_id, m.created_at) for m in scene.log.messages} == {("r1", NOW)}
    asked = next(i for i, c in enumerate(scene.log.commits) if any(len(m.tool_calls) == 2 for m in c.messages))
    begun = next(i for i, c in enumerate(scene.log.commits) if sum(e.current_state == "init" for e in c.events) == 2)
    assert asked < begun


def test_a_completion_holds_stop_reason_and_usage() -> None:
    events = EventFactory("t1", "r1", FakeClock())
    good = events.completion(Outcome(StopReason.COMPLETED, usage=Usage(steps=2)))
    assert (good.current_state, good.error_flag) == ("complete", False)
    assert good.execute_result is not None
    assert good.execute_result["stop_reason"] == "completed"
    assert "flow_completion_message" not in good.execute_result
    bad = events.completion(Outcome(StopReason.STUCK, "It went in circles."))
    assert (bad.current_state, bad.error_flag) == ("error", True)
    assert bad.execute_result is not None
    assert bad.execute_result["flow_completion_message"] == "It went in circles."


def test_every_stop_reason_has_a_terminal_status() -> None:
    for reason in StopReason:
        assert Outcome(reason).status.is_terminal
