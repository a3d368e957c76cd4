"""Each limit ends a run with its own stop reason; a run may lower them, never raise them."""

import pytest
from pydantic import JsonValue

from shared.config import AgentConfig
from shared.contract.run import RunStatus, StopReason, Usage
from tests.fakes.fake_run_log import FakeRunLog
from tests.fakes.scripted_model import hangs, says
from tests.fakes.scripted_tool import LookTool
from tests.unit.workflow.agent.test_tool_turns import answer_number
from tests.unit.workflow.runner.scene import PLAN, Scene, looks, registry_with
from workflow.journal.limits import Limits

CONFIG = AgentConfig(max_steps=10, max_duration=100.0, max_tokens=1000, max_cost_usd=2.0)


@pytest.mark.parametrize(
    ("parameters", "used", "reason"),
    [
        ({"max_steps": 2}, Usage(), StopReason.MAX_STEPS),
        ({"max_tokens": 30}, Usage(), StopReason.MAX_TOKENS),
        ({"max_cost_usd": 0.5}, Usage(cost_usd=0.5), StopReason.MAX_COST),
    ],
    ids=["steps", "tokens", "cost"],
)
async def test_a_run_ends_before_the_call_that_would_exceed_a_limit(
    parameters: dict[str, JsonValue], used: Usage, reason: StopReason
) -> None:
    script = [PLAN, looks(1), looks(2)]
    registry = registry_with(LookTool(answer_number))
    scene = Scene(script, parameters=parameters, usage=used, registry=registry, config=CONFIG)
    outcome = await scene.play()
    assert (outcome.stop_reason, outcome.status) == (reason, RunStatus.FAILED)
    assert "reached its limit of" in outcome.message
    assert len(scene.model.requests) == (0 if used.cost_usd else 2)
    scene.log.assert_every_init_is_closed_once()


async def test_a_run_that_takes_too_long_ends_in_the_middle_of_a_model_call() -> None:
    scene = Scene([hangs(after="hm")], parameters={"max_duration": 0.02})
    outcome = await scene.play()
    assert (outcome.stop_reason, outcome.status) == (StopReason.MAX_DURATION, RunStatus.FAILED)
    assert "0.02 seconds" in outcome.message
    assert scene.model.closed == 1


async def test_the_last_step_within_the_limit_may_complete_the_run() -> None:
    scene = Scene([PLAN, says("done")], parameters={"max_steps": 2}, log=FakeRunLog())
    assert (await scene.play()).stop_reason is StopReason.COMPLETED


@pytest.mark.parametrize(
    "wanted", [11, 10**400, 0, -1, "5", None, True, float("nan"), float("inf"), [3], 0.4], ids=repr
)
def test_a_run_cannot_raise_a_limit_or_set_it_to_nonsense(wanted: JsonValue) -> None:
    limits = Limits.of(CONFIG, {"max_steps": wanted, "max_tokens": wanted})
    assert 1 <= limits.max_steps <= 10
    assert 1 <= limits.max_tokens <= 1000


def test_a_run_can_lower_every_limit() -> None:
    parameters: dict[str, JsonValue] = {"max_steps": 3, "max_duration": 0.5, "max_tokens": 7, "max_cost_usd": 1}
    assert Limits.of(CONFIG, parameters) == Limits(3, 0.5, 7, 1)


def test_a_later_attempt_has_the_time_left_and_names_the_full_limit() -> None:
    limits = Limits.of(AgentConfig(max_duration=60), {}).after(45.5)
    assert limits.left_seconds == 14.5
    assert limits.after(90).left_seconds == 0
    assert limits.out_of_time(Usage()).message == "The run reached its limit of 60 seconds."
