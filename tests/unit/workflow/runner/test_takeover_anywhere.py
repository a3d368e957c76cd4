"""A run can be taken over after any write: nothing is lost, no call that changes something is made twice."""

from collections.abc import Sequence

from pydantic import JsonValue

from shared.contract.event import AgentExecuteData
from shared.contract.message import Role
from shared.contract.run import StopReason
from tests.fakes.fake_run_log import Commit, FakeRunLog
from tests.fakes.scripted_model import Reply, Script, calls, says
from tests.unit.workflow.runner.scene import PLAN, looks
from tests.unit.workflow.runner.takeover import UNKNOWN, Effects, go_on
from workflow.llm.model import ModelRequest


def play_from(request: ModelRequest) -> Reply:
    """Answer as the conversation has it: a plan, looks, changes, all kinds at once, then the final answer."""
    turns = (
        PLAN,
        looks(1, 2),
        looks(3, 4, tool="change"),
        calls(("look", {"number": 5}), ("put", {"number": 6}), ("change", {"number": 7}), text="Mixed"),
        says("done"),
    )
    return turns[sum(1 for message in request.messages if message.tool_calls)]


class TakenOverJob:
    """A job that is played once to its end; then other attempts take it over after any of its writes."""

    def __init__(self) -> None:
        self.script: list[Script] = [play_from] * 12

    async def first(self) -> list[Commit]:
        scene = go_on([], self.script, Effects(), attempts=1)
        assert (await scene.play()).stop_reason is StopReason.COMPLETED
        return scene.log.commits

    async def take_over(self, commits: Sequence[Commit]) -> list[Commit]:
        """Continue after these writes and check the invariants; return all writes of the job."""
        effects = Effects()
        scene = go_on(commits, self.script, effects)
        assert (await scene.play()).stop_reason is StopReason.COMPLETED
        all_commits = [*commits, *scene.log.commits]
        _check_answers(all_commits)
        _check_events(all_commits)
        _check_effects(commits, scene.log.commits, effects)
        return all_commits


def _check_answers(commits: Sequence[Commit]) -> None:
    messages = [message for commit in commits for message in commit.messages]
    asked = [call.call_id for message in messages for call in message.tool_calls]
    answered = [message.tool_call_id for message in messages if message.role is Role.TOOL]
    assert len(asked) == len(set(asked)) == 8
    assert sorted(asked) == sorted(str(call_id) for call_id in answered), "one answer for every call"


def _check_events(commits: Sequence[Commit]) -> None:
    log = FakeRunLog()
    log.events = [event for commit in commits for event in commit.events]
    log.assert_every_init_is_closed_once()
    assert sum(event.current_state == "init" for event in log.events) == 8
    assert [event.execute_type for event in log.events].count("user_message") == 1


def _check_effects(before: Sequence[Commit], after: Sequence[Commit], effects: Effects) -> None:
    begun = _events_of(before, "init")
    ended = _events_of(before, "complete") | _events_of(before, "error")
    answers = {m.tool_call_id: m.text() for commit in after for m in commit.messages if m.role is Role.TOOL}
    names = {call.call_id: call.name for c in [*before, *after] for m in c.messages for call in m.tool_calls}
    uuids = {each.call_id: each.uuid for c in [*before, *after] if c.state for each in c.state.in_flight}
    for call_id, name in names.items():
        was_begun, was_ended = uuids[call_id] in begun, uuids[call_id] in ended
        expected = 0 if was_ended or name == "job_plan" or (was_begun and name == "change") else 1
        assert effects.done.count(call_id) == expected, f"{call_id} was made {effects.done.count(call_id)} times"
        is_unknown = was_begun and not was_ended and name == "change"
        assert answers.get(call_id, "").startswith(UNKNOWN) == is_unknown


def _events_of(commits: Sequence[Commit], state: str) -> set[str]:
    events: list[AgentExecuteData] = [event for commit in commits for event in commit.events]
    return {event.uuid for event in events if event.current_state == state}


async def test_an_attempt_can_take_over_after_any_write() -> None:
    job = TakenOverJob()
    first = await job.first()
    assert len(first) > 15
    for length in range(len(first) + 1):
        await job.take_over(first[:length])


async def test_a_second_takeover_can_come_after_any_write_of_the_first() -> None:
    job = TakenOverJob()
    first = await job.first()
    for length in range(0, len(first), 3):
        all_commits = await job.take_over(first[:length])
        for second in range(length, len(all_commits), 2):
            await job.take_over(all_commits[:second])


async def test_a_plan_with_calls_beside_it_can_be_taken_over_after_any_write() -> None:
    def plan_beside(request: ModelRequest) -> Reply:
        plan: tuple[str, dict[str, JsonValue] | str] = ("job_plan", {"name": "tea", "plan": "1. drink"})
        beside = calls(("look", {"number": 1}), plan, ("change", {"number": 2}))
        return says("done") if any(message.tool_calls for message in request.messages) else beside

    first = go_on([], [plan_beside] * 2, Effects(), attempts=1)
    await first.play()
    for length in range(len(first.log.commits) + 1):
        effects, before = Effects(), first.log.commits[:length]
        scene = go_on(before, [plan_beside] * 3, effects)
        assert (await scene.play()).stop_reason is StopReason.COMPLETED
        messages = [message for commit in [*before, *scene.log.commits] for message in commit.messages]
        asked = [call.call_id for message in messages for call in message.tool_calls]
        assert sorted(asked) == sorted(str(m.tool_call_id) for m in messages if m.role is Role.TOOL)
        assert len(effects.done) == len(set(effects.done))
        log = FakeRunLog()
        log.events = [event for commit in [*before, *scene.log.commits] for event in commit.events]
        log.assert_every_init_is_closed_once()
