"""How the model's own behaviour ends a run: empty, cut-off and repeated answers, refusals, failures."""

from collections.abc import AsyncGenerator

import pytest

from shared.config import AgentConfig, LLMConfig
from shared.contract.message import ChatMessage, Role, ToolCall
from shared.contract.run import RunStatus, StopReason, Usage
from tests.fakes.scripted_model import Reply, ScriptedModel, calls, fails, says
from tests.fakes.scripted_tool import LookTool
from tests.unit.workflow.agent.test_tool_turns import answer_number
from tests.unit.workflow.runner.scene import PLAN, Scene, registry_with
from workflow.errors import ContextOverflowError, ModelError, PermanentModelError, TransientModelError
from workflow.llm.model import FinishReason, ModelAnswer, ModelRequest, StreamItem, StreamRestarted, TextDelta


def last_words(model: ScriptedModel, position: int) -> str:
    return model.requests[position].messages[-1].text()


async def test_empty_answers_are_nudged_and_then_end_the_run_as_stuck() -> None:
    scene = Scene([says(""), says("  \n"), says("")], config=AgentConfig(max_empty_answers=3))
    outcome = await scene.play()
    assert (outcome.stop_reason, outcome.status) == (StopReason.STUCK, RunStatus.FAILED)
    assert "3 answers in a row" in outcome.message
    assert "was empty" in last_words(scene.model, 1)
    assert outcome.usage.steps == 3


async def test_a_call_between_empty_answers_clears_the_count() -> None:
    scene = Scene([says(""), PLAN, says(""), says("done")], config=AgentConfig(max_empty_answers=2))
    assert (await scene.play()).stop_reason is StopReason.COMPLETED


async def test_a_cut_off_answer_is_continued() -> None:
    scene = Scene([says("Once upon", finish_reason=FinishReason.LENGTH), says("a time.")])
    outcome = await scene.play()
    assert outcome.stop_reason is StopReason.COMPLETED
    assert "cut off" in last_words(scene.model, 1)
    assert scene.model.requests[1].messages[-2].text() == "Once upon"


async def test_answers_cut_off_again_and_again_end_the_run_as_stuck() -> None:
    cut = says("la", finish_reason=FinishReason.LENGTH)
    scene = Scene([cut, cut], config=AgentConfig(max_empty_answers=2))
    outcome = await scene.play()
    assert outcome.stop_reason is StopReason.STUCK
    assert "llm.max_output_tokens" in outcome.message


async def test_a_call_cut_off_at_the_length_limit_is_answered() -> None:
    call = ToolCall(call_id="c", name="look", arguments='{"number": 1')
    cut = Reply(answer=ModelAnswer("", (call,), FinishReason.LENGTH, Usage()))
    scene = Scene([PLAN, cut, says("done")], registry=registry_with(LookTool(answer_number)))
    assert (await scene.play()).stop_reason is StopReason.COMPLETED
    assert "not valid JSON" in scene.answers()[1][1]


async def test_the_same_call_again_is_nudged_and_then_ends_the_run_as_stuck() -> None:
    same = calls(("look", {"number": 1}))
    registry = registry_with(LookTool(answer_number))
    scene = Scene([PLAN, same, same, same], registry=registry, config=AgentConfig(max_repeats=3))
    outcome = await scene.play()
    assert outcome.stop_reason is StopReason.STUCK
    assert "same call (look) 3 times" in outcome.message
    assert "same call (look) 2 times" in last_words(scene.model, 3)
    assert "same call" not in last_words(scene.model, 2)
    assert len(scene.answers()) == 4, "the last one is answered too"


async def test_a_different_call_clears_the_count_of_repeats() -> None:
    one, two = calls(("look", {"number": 1})), calls(("look", {"number": 2}))
    registry = registry_with(LookTool(answer_number))
    scene = Scene([PLAN, one, one, two, one, one, says("ok")], registry=registry, config=AgentConfig(max_repeats=3))
    assert (await scene.play()).stop_reason is StopReason.COMPLETED


async def test_a_refusal_ends_the_run_with_the_models_words() -> None:
    scene = Scene([says("I will not.", finish_reason=FinishReason.REFUSED)])
    outcome = await scene.play()
    assert (outcome.stop_reason, outcome.status, outcome.message) == (
        StopReason.REFUSED, RunStatus.FAILED, "I will not.",
    )  # fmt: skip


@pytest.mark.parametrize("error", [TransientModelError("overloaded"), PermanentModelError("overloaded")], ids=type)
async def test_a_permanent_provider_error_ends_the_run_with_its_message(error: ModelError) -> None:
    scene = Scene([PLAN, fails(error, after="half")])
    outcome = await scene.play()
    assert (outcome.stop_reason, outcome.message) == (StopReason.LLM_ERROR, "overloaded")
    assert outcome.usage.steps == 1
    assert scene.log.kinds()[-1] == ("tool_job_plan", "complete")


async def test_too_long_a_conversation_is_asked_once_more_and_shorter() -> None:
    old = [
        ChatMessage(role=Role.USER, content="hello", run_id="r0"),
        ChatMessage(role=Role.ASSISTANT, tool_calls=(ToolCall(call_id="c", name="bash", arguments="{}"),), run_id="r0"),
        ChatMessage(role=Role.TOOL, content="o" * 9000, tool_call_id="c", run_id="r0"),
        *(ChatMessage(role=Role.ASSISTANT, content="so", run_id="r0") for _ in range(4)),
    ]
    scene = Scene([fails(ContextOverflowError("too long")), says("done")], messages=old)
    assert (await scene.play()).stop_reason is StopReason.COMPLETED
    long, short = (sum(len(m.text()) for m in request.messages) for request in scene.model.requests)
    assert long > 9000
    assert short < 2000


async def test_a_conversation_that_stays_too_long_ends_the_run() -> None:
    too_long = fails(ContextOverflowError("too long"))
    scene = Scene([too_long, too_long])
    outcome = await scene.play()
    assert (outcome.stop_reason, outcome.message) == (StopReason.LLM_ERROR, "too long")


async def test_text_of_a_failed_attempt_is_declared_void_in_its_own_step() -> None:
    answer = says("complete").answer
    deltas = (TextDelta("ha"), StreamRestarted(2, "connection lost"), TextDelta("complete"))
    scene = Scene([Reply(deltas=deltas, answer=answer)])
    await scene.play()
    _, half, void, complete, response = scene.log.events
    assert void.execute_type == "status"
    assert void.execute_result == {
        "status_result": {"status": "restarted", "reason": "connection lost", "attempt": 2},
    }
    assert len({half.uuid, void.uuid, complete.uuid, response.uuid}) == 1


async def test_a_model_that_ends_without_an_answer_ends_the_run() -> None:
    class SilentModel(ScriptedModel):
        async def stream(self, request: ModelRequest) -> AsyncGenerator[StreamItem, None]:
            yield TextDelta("hm")

    scene = Scene([])
    scene.model = SilentModel([])
    outcome = await scene.play()
    assert outcome.stop_reason is StopReason.LLM_ERROR


async def test_usage_sums_over_all_calls_and_earlier_attempts() -> None:
    usage = Usage(input_tokens=100, output_tokens=20, cached_tokens=50, cost_usd=0.25)
    scene = Scene(
        [calls(("job_plan", {"name": "a", "plan": "b"}), usage=usage), says("done", usage=usage)],
        usage=Usage(steps=3, input_tokens=7, cost_usd=1.0),
        counter=LLMConfig(context_window=100_000),
    )
    outcome = await scene.play()
    expected = Usage(steps=5, input_tokens=207, output_tokens=40, cached_tokens=100, cost_usd=1.5)
    assert outcome.usage == expected
    assert scene.log.usage == expected
