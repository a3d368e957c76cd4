"""Another attempt continues the calls that the one before left open, and writes so."""

from collections.abc import Sequence
from dataclasses import replace

import orjson
import pytest

from shared.contract.message import ChatMessage, Role, ToolCall
from shared.contract.run import StopReason, Usage
from shared.contract.state import AgentState, CallInFlight, Phase
from tests.fakes.fake_run_log import Commit
from tests.fakes.scripted_model import DEFAULT_USAGE, Reply, says
from tests.unit.workflow.runner.scene import NOW, PLAN, Scene, looks
from tests.unit.workflow.runner.takeover import UNKNOWN, Effects, go_on
from workflow.llm.model import FinishReason, ModelAnswer


def left_open(*names: str, begun: Sequence[str] = ()) -> list[Commit]:
    """Return the commits of a run whose last answer calls these tools (each is its own call id), some begun."""
    asked = tuple(ToolCall(call_id=name, name=name.rstrip("0123456789"), arguments='{"number": 7}') for name in names)
    in_flight = tuple(CallInFlight(call_id=name, uuid=f"uuid of {name}", began_at=NOW) for name in begun)
    messages = (
        ChatMessage(role=Role.USER, content="make tea", run_id="r1"),
        ChatMessage(role=Role.ASSISTANT, content="", tool_calls=asked, run_id="r1"),
    )
    return [Commit((), messages, AgentState(phase=Phase.EXECUTION, in_flight=in_flight), Usage(steps=1))]


def tool_events(scene: Scene, name: str) -> list[tuple[str, str]]:
    return [(e.current_state.value, e.uuid) for e in scene.log.events if e.execute_type == f"tool_{name}"]


async def test_a_call_that_was_not_begun_is_made_with_its_init() -> None:
    effects = Effects()
    scene = go_on(left_open("change"), [says("done")], effects)
    assert (await scene.play()).stop_reason is StopReason.COMPLETED
    assert effects.done == ["change"]
    assert [state for state, _ in tool_events(scene, "change")] == ["init", "complete"]
    assert scene.answers() == [("change", "number 7")]


@pytest.mark.parametrize("name", ["put", "look"])
async def test_a_begun_call_that_does_no_harm_is_made_again_under_the_same_uuid(name: str) -> None:
    effects = Effects()
    scene = go_on(left_open(name, begun=[name]), [says("done")], effects)
    await scene.play()
    assert effects.done == [name]
    assert tool_events(scene, name) == [("complete", f"uuid of {name}")]
    assert scene.answers() == [(name, "number 7")]


async def test_a_begun_call_that_changes_something_is_answered_and_not_made() -> None:
    effects = Effects()
    scene = go_on(left_open("change", begun=["change"]), [says("done")], effects)
    assert (await scene.play()).stop_reason is StopReason.COMPLETED
    assert effects.done == []
    assert tool_events(scene, "change") == [("error", "uuid of change")]
    ((call_id, text),) = scene.answers()
    assert call_id == "change"
    assert text.startswith(UNKNOWN)
    assert scene.model.requests[0].messages[-1].text() == text, "the model reads it"


async def test_open_calls_of_all_kinds_each_get_their_own_answer() -> None:
    effects = Effects()
    names = ("look1", "look2", "change1", "change2", "put1", "change3")
    scene = go_on(left_open(*names, begun=["look2", "change1", "put1"]), [says("done")], effects)
    await scene.play()
    assert sorted(effects.done) == ["change2", "change3", "look1", "look2", "put1"]
    answers = dict(scene.answers())
    assert set(answers) == set(names)
    assert len(scene.answers()) == len(names)
    assert [name for name, text in answers.items() if text.startswith(UNKNOWN)] == ["change1"]
    ends = [e.uuid for e in scene.log.events if e.current_state in ("complete", "error")]
    assert {"uuid of look2", "uuid of change1", "uuid of put1"} <= set(ends)
    assert len(ends) == len(set(ends))
    assert scene.journal.state.in_flight == ()


async def test_a_call_of_an_unknown_tool_is_refused_again() -> None:
    scene = go_on(left_open("dance", begun=["dance"]), [says("done")], Effects())
    await scene.play()
    ((call_id, text),) = scene.answers()
    assert call_id == "dance"
    assert not text.startswith(UNKNOWN)


async def test_a_plan_left_open_is_made() -> None:
    arguments = orjson.dumps({"name": "tea", "plan": "1. drink"}).decode()
    call = ToolCall(call_id="p", name="job_plan", arguments=arguments)
    messages = (
        ChatMessage(role=Role.USER, content="make tea", run_id="r1"),
        ChatMessage(role=Role.ASSISTANT, content="", tool_calls=(call,), run_id="r1"),
    )
    in_flight = (CallInFlight(call_id="p", uuid="u", began_at=NOW),)
    scene = go_on([Commit((), messages, AgentState(in_flight=in_flight), Usage(steps=1))], [says("done")], Effects())
    await scene.play()
    assert scene.journal.state.plan is not None
    assert scene.journal.state.phase is Phase.EXECUTION
    assert tool_events(scene, "job_plan") == [("complete", "u")]


async def test_an_attempt_writes_a_resumed_event() -> None:
    scene = go_on(left_open("look"), [says("done")], Effects(), attempts=3)
    await scene.play()
    first = scene.log.events[0]
    assert (first.execute_type, first.execute_result) == (
        "status", {"status_result": {"status": "resumed", "attempt": 3}},
    )  # fmt: skip
    assert "user_message" not in [kind for kind, _ in scene.log.kinds()]


async def test_client_and_model_learn_of_a_replaced_sandbox() -> None:
    commits = left_open("bash")
    answered = ChatMessage(role=Role.TOOL, content="ok", tool_call_id="bash", run_id="r1")
    commits.append(Commit((), (answered,), None, None))
    scene = go_on(commits, [says("done")], Effects())
    await scene.play()
    assert [kind for kind, _ in scene.log.kinds()[:2]] == ["status", "status_sandbox_info"]
    note = scene.model.requests[0].messages[-1]
    assert note.role is Role.USER
    assert "processes" in note.text()


async def test_an_attempt_without_a_sandbox_writes_no_note_about_one() -> None:
    scene = go_on(left_open("look"), [says("done")], Effects())
    await scene.play()
    assert "status_sandbox_info" not in [kind for kind, _ in scene.log.kinds()]


async def test_the_note_of_the_sandbox_never_stands_between_a_call_and_its_answer() -> None:
    scene = go_on(left_open("look", "bash"), [says("done")], Effects())
    await scene.play()
    assert [message.role for message in scene.log.messages][:2] == [Role.TOOL, Role.TOOL]


async def test_usage_goes_on_where_the_earlier_attempt_stopped() -> None:
    scene = go_on(left_open("look"), [says("done")], Effects())
    assert (await scene.play()).usage.steps == 2


async def test_a_call_id_that_an_earlier_turn_used_is_made_unique() -> None:
    effects = Effects()
    scene = go_on([], [PLAN, looks(1), looks(2), looks(3), says("done")], effects, attempts=1)
    await scene.play()
    ids = [call.call_id for message in scene.log.messages for call in message.tool_calls]
    assert len(ids) == len(set(ids))
    assert ids[1] == "call_look_0"
    assert [call_id for call_id, _ in scene.answers()] == ids
    assert effects.done == ids[1:]
    scene.log.assert_every_init_is_closed_once()


async def test_calls_that_an_earlier_run_left_open_are_not_made_by_the_next() -> None:
    effects = Effects()
    scene = go_on(left_open("change", "look", begun=["change"]), [says("done")], effects, run_id="r2", attempts=1)
    assert (await scene.play()).stop_reason is StopReason.COMPLETED
    assert effects.done == []
    assert scene.log.kinds() == [("user_message", "complete"), ("assistant_response", "complete")]
    assert scene.journal.state.in_flight == ()


async def test_an_answer_that_was_written_is_not_paid_for_again() -> None:
    answer = ModelAnswer("", (ToolCall(call_id="x", name="look", arguments="{}"),), FinishReason.STOP, DEFAULT_USAGE)
    scene = go_on([], [PLAN, Reply(answer=answer), says("done")], Effects(), attempts=1)
    await scene.play()
    asking = [any(call.call_id == "x" for m in c.messages for call in m.tool_calls) for c in scene.log.commits]
    position = asking.index(True)
    again = go_on(scene.log.commits[: position + 1], [says("done")], Effects())
    await again.play()
    assert again.model.unused == 0
    assert [call_id for call_id, _ in again.answers()] == ["x"]


async def test_a_final_answer_is_not_asked_for_again() -> None:
    first = Scene([says("All done.")])
    await first.play()
    scene = Scene([], messages=first.journal.messages, state=first.journal.state, attempts=2)
    assert (await scene.play()).stop_reason is StopReason.COMPLETED
    assert scene.model.requests == []


def after(lost: int, *names: str) -> list[Commit]:
    """Return the commits of a run whose begun calls have cost so many workers before the last one."""
    (commit,) = left_open(*names, begun=names)
    assert commit.state is not None
    in_flight = tuple(each.model_copy(update={"workers_lost": lost}) for each in commit.state.in_flight)
    return [replace(commit, state=commit.state.model_copy(update={"in_flight": in_flight}))]


@pytest.mark.parametrize("name", ["put", "look"])
async def test_a_call_that_cost_one_worker_is_made_again_once_that_is_written(name: str) -> None:
    effects = Effects()
    scene = go_on(after(0, name), [says("done")], effects, after_crash=True)
    await scene.play()
    assert effects.done == [name]
    counted = [commit.state.in_flight for commit in scene.log.commits if commit.state is not None]
    assert [each.workers_lost for each in counted[0]] == [1], "before it is made again"


@pytest.mark.parametrize("name", ["put", "look"])
async def test_a_call_that_cost_two_workers_is_not_made_a_third_time(name: str) -> None:
    effects = Effects()
    scene = go_on(after(1, name), [says("done")], effects, after_crash=True)
    assert (await scene.play()).stop_reason is StopReason.COMPLETED
    assert effects.done == []
    ((_, text),) = scene.answers()
    assert text.startswith(UNKNOWN)
    assert tool_events(scene, name) == [("error", f"uuid of {name}")]


async def test_a_hand_over_costs_no_worker() -> None:
    effects = Effects()
    scene = go_on(after(1, "put"), [says("done")], effects, after_crash=False)
    await scene.play()
    assert effects.done == ["put"]


async def test_calls_begun_beside_one_that_cost_workers_do_not_make_it_new() -> None:
    effects = Effects()
    (commit,) = after(2, "look")
    asked = tuple(ToolCall(call_id=name, name="look", arguments='{"number": 7}') for name in ("look", "look2"))
    (task, answer) = commit.messages
    commits = [replace(commit, messages=(task, answer.model_copy(update={"tool_calls": asked})))]
    scene = go_on(commits, [says("done")], effects)
    await scene.play()
    assert effects.done == ["look2"]


async def test_two_calls_with_one_id_in_one_answer_get_an_answer_each() -> None:
    effects = Effects()
    twins = tuple(ToolCall(call_id="same", name="look", arguments=f'{{"number": {number}}}') for number in (1, 2))
    answer = ModelAnswer("", twins, FinishReason.TOOL_CALLS, DEFAULT_USAGE)
    scene = Scene([PLAN, Reply(answer=answer), says("done")], registry=effects.registry())
    assert (await scene.play()).stop_reason is StopReason.COMPLETED
    answers = scene.answers()[1:]
    assert [text for _, text in answers] == ["number 1", "number 2"]
    assert answers[0][0] == "same"
    assert len({call_id for call_id, _ in answers}) == 2
    scene.log.assert_every_init_is_closed_once()
