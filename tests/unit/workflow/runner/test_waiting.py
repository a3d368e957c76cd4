"""A run waits for a person, and goes on with the answer."""

import pytest

from shared.config import ToolConfig
from shared.contract.message import ChatMessage
from shared.contract.run import Answer, Decision, QuestionKind, StopReason
from shared.contract.state import AgentState
from tests.fakes.fake_sandbox import CommandReply, FakeSandbox, prints
from tests.fakes.scripted_model import Script, calls, says
from tests.unit.workflow.runner.scene import PLAN, Scene
from workflow.service.sandbox.base import Sandbox
from workflow.tool.registry import ToolRegistry

CALL_ID = "call_bash_0"
RUN_BASH = calls(("bash", {"cmd": "echo hi"}))


def careful() -> ToolRegistry:
    """Return all tools, with bash only after a person has agreed."""
    return ToolRegistry.from_config({"bash": ToolConfig(approval="always")}, plugins=())


def sandbox_that(reply: CommandReply) -> FakeSandbox:
    return FakeSandbox(replies=[reply])


async def asked(*script: Script) -> tuple[list[ChatMessage], AgentState]:
    """Return conversation and state of a run that has asked for approval of its bash call."""
    scene = Scene([*script, RUN_BASH], registry=careful())
    question = await scene.ask()
    assert (question.kind, question.call_id) == (QuestionKind.APPROVAL, CALL_ID)
    assert "echo hi" in question.question
    return scene.journal.messages, scene.journal.state


async def resumed(answer: Answer, sandbox: FakeSandbox) -> Scene:
    messages, state = await asked(PLAN)

    async def get() -> Sandbox:
        return sandbox

    scene = Scene(
        [says("done")], registry=careful(), messages=messages, state=state, attempts=2, answer=answer, sandbox=get
    )
    outcome = await scene.play()
    assert outcome.stop_reason is StopReason.COMPLETED
    scene.log.assert_every_init_is_closed_once()
    return scene


async def test_a_call_that_needs_approval_is_not_begun_before_it_has_it() -> None:
    scene = Scene([PLAN, RUN_BASH], registry=careful())
    await scene.ask()
    assert not any(event.execute_type == "tool_bash" for event in scene.log.events)
    assert scene.journal.state.in_flight == ()


async def test_an_approved_call_is_made_without_a_resumed_event() -> None:
    scene = await resumed(Answer(call_id=CALL_ID, decision=Decision.APPROVE), sandbox_that(prints("hi")))
    assert "hi" in dict(scene.answers())[CALL_ID]
    assert ("status", "complete") not in scene.log.kinds()


async def test_a_call_is_made_with_the_arguments_that_the_person_gave() -> None:
    sandbox = sandbox_that(prints("other"))
    await resumed(Answer(call_id=CALL_ID, decision=Decision.APPROVE, arguments={"cmd": "echo other"}), sandbox)
    assert [list(command.argv) for command in sandbox.commands] == [["bash", "-c", "echo other"]]


async def test_a_denied_call_is_answered_and_not_made() -> None:
    sandbox = FakeSandbox()
    scene = await resumed(Answer(call_id=CALL_ID, text="too dangerous", decision=Decision.DENY), sandbox)
    assert dict(scene.answers())[CALL_ID] == "A person denied this call. too dangerous"
    assert sandbox.commands == []


@pytest.mark.parametrize("attempts", [2, 3], ids=["answered", "answered, then the worker was lost"])
async def test_the_answer_to_a_question_reaches_the_model_as_its_result(attempts: int) -> None:
    first = Scene([calls(("ask_user", {"question": "Tea?"}))])
    question = await first.ask()
    scene = Scene(
        [says("Green it is.")],
        messages=first.journal.messages,
        state=first.journal.state,
        attempts=attempts,
        answer=Answer(call_id=question.call_id, text="green"),
    )
    outcome = await scene.play()
    assert outcome.stop_reason is StopReason.COMPLETED
    assert scene.answers() == [(question.call_id, "The user answered: green")]
    (answered,) = [event for event in scene.log.events if event.execute_type == "ask_user"]
    assert answered.execute_result == {
        "interrupt_result": {"question": "Tea?", "options": [], "call_id": question.call_id, "answer": "green"}
    }
    assert answered.uuid == first.log.events[-1].uuid


async def test_a_question_that_was_not_put_before_the_worker_was_lost_is_put_by_the_next() -> None:
    first = Scene([calls(("ask_user", {"question": "Tea?"}))])
    question = await first.ask()
    scene = Scene([], messages=first.journal.messages, state=first.journal.state, attempts=2)
    assert await scene.ask() == question


async def test_each_of_two_calls_that_need_approval_is_asked_about_by_itself() -> None:
    first = Scene([PLAN, calls(("bash", {"cmd": "one"}), ("bash", {"cmd": "two"}))], registry=careful())
    assert (await first.ask()).call_id == "call_bash_0"

    async def get() -> Sandbox:
        return sandbox_that(prints("one"))

    second = Scene(
        [],
        registry=careful(),
        messages=first.journal.messages,
        state=first.journal.state,
        attempts=2,
        answer=Answer(call_id="call_bash_0", decision=Decision.APPROVE),
        sandbox=get,
    )
    assert (await second.ask()).call_id == "call_bash_1"
    assert [call_id for call_id, _ in second.answers()] == ["call_bash_0"]
