"""A run begins with planning: a plan, a question or a direct answer, and nothing else."""

from shared.contract.run import QuestionKind, RunStatus, StopReason
from shared.contract.state import AgentState, Phase, Plan
from tests.fakes.scripted_model import calls, says
from tests.unit.workflow.runner.scene import PLAN, Scene


def tool_names(scene: Scene, position: int) -> set[str]:
    return {spec.name for spec in scene.model.requests[position].tools}


async def test_only_a_plan_and_a_question_are_on_offer_while_planning() -> None:
    scene = Scene([PLAN, says("done")])
    await scene.play()
    assert tool_names(scene, 0) == {"job_plan", "ask_user"}
    assert {"bash", "file_read", "job_plan", "ask_user"} <= tool_names(scene, 1)


async def test_a_plan_begins_the_execution_and_stands_in_its_prompt() -> None:
    scene = Scene([PLAN, says("done")])
    outcome = await scene.play()
    assert outcome.stop_reason is StopReason.COMPLETED
    assert scene.journal.state == AgentState(phase=Phase.EXECUTION, plan=Plan(name="tea", plan="1. drink"))
    assert scene.log.commits[-1].state is None, "a state that did not change is not written again"
    assert "1. drink" in scene.model.requests[1].system
    assert "1. drink" not in scene.model.requests[0].system


async def test_a_direct_answer_completes_the_run_without_a_plan() -> None:
    scene = Scene([says("Four.")])
    outcome = await scene.play()
    assert (outcome.stop_reason, outcome.status) == (StopReason.COMPLETED, RunStatus.COMPLETED)
    assert scene.log.kinds() == [("user_message", "complete"), ("assistant_response", "complete")]


async def test_a_question_lets_the_run_wait_with_its_call_open() -> None:
    scene = Scene([calls(("ask_user", {"question": "Green or black?", "options": ["green", "black"]}))])
    question = await scene.ask()
    assert (question.kind, question.question, question.options) == (
        QuestionKind.ASK_USER, "Green or black?", ("green", "black"),
    )  # fmt: skip
    init = scene.log.events[-1]
    assert (init.execute_type, init.current_state) == ("tool_ask_user", "init")
    interrupt = scene.journal.interrupt(question)
    assert (interrupt.execute_type, interrupt.current_state, interrupt.uuid) == ("ask_user", "interrupt", init.uuid)
    assert scene.answers() == []


async def test_a_badly_asked_question_goes_back_to_the_model() -> None:
    scene = Scene([calls(("ask_user", {"options": []})), says("Never mind.")])
    outcome = await scene.play()
    assert outcome.stop_reason is StopReason.COMPLETED
    assert "question" in scene.answers()[0][1]
    scene.log.assert_every_init_is_closed_once()


async def test_calls_beside_a_plan_are_answered_but_not_carried_out() -> None:
    beside = calls(("todo_read", {}), ("job_plan", {"name": "tea", "plan": "drink"}), ("ask_user", {"question": "?"}))
    scene = Scene([beside, says("done")])
    outcome = await scene.play()
    assert outcome.stop_reason is StopReason.COMPLETED
    answers = dict(scene.answers())
    assert "stored" in answers["call_job_plan_1"]
    for refused in ("call_todo_read_0", "call_ask_user_2"):
        assert "job_plan must be the only call of its turn" in answers[refused]
    assert ("ask_user", "interrupt") not in scene.log.kinds()
    scene.log.assert_every_init_is_closed_once()
    assert [m.tool_call_id for m in scene.model.requests[1].messages[-3:]] == [
        "call_todo_read_0", "call_job_plan_1", "call_ask_user_2",
    ]  # fmt: skip


async def test_calls_beside_a_question_are_answered_but_not_carried_out() -> None:
    scene = Scene([PLAN, calls(("bash", {"cmd": "rm -rf ."}), ("ask_user", {"question": "Sure?"}))])
    await scene.ask()
    assert "ask_user must be the only call of its turn" in dict(scene.answers())["call_bash_0"]


async def test_another_tool_while_planning_is_answered_with_an_error() -> None:
    scene = Scene([calls(("bash", {"cmd": "ls"})), says("I see.")])
    outcome = await scene.play()
    assert outcome.stop_reason is StopReason.COMPLETED
    assert scene.answers() == [
        ("call_bash_0", "bash is not to be had while planning. Call job_plan first, or answer in text.")
    ]
    assert ("tool_bash", "error") in scene.log.kinds()


async def test_a_plan_alone_costs_no_further_write() -> None:
    scene = Scene([PLAN, says("done")])
    await scene.play()
    assert all(commit.events or commit.messages for commit in scene.log.commits)
