"""job_plan: the plan is stored and execution begins."""

import pytest
from pydantic import ValidationError

from shared.contract.state import AgentState, Phase, Plan, Todo
from tests.fakes.fake_tool_context import FakeToolContext, member
from workflow.tool.job_plan import JobPlanTool


async def test_plan_is_stored_and_execution_begins() -> None:
    result = await FakeToolContext().call(JobPlanTool(), name=" Site ", plan="1. build\n2. check")
    assert member(result, "tool_job_plan_result") == {"name": "Site", "plan": "1. build\n2. check"}
    before = AgentState(todos=(Todo(id="1", content="kept"),))
    assert result.state is not None
    assert result.state(before) == AgentState(
        phase=Phase.EXECUTION, plan=Plan(name="Site", plan="1. build\n2. check"), todos=before.todos
    )


@pytest.mark.parametrize("arguments", [{"name": "x", "plan": "  "}, {"name": "", "plan": "x"}, {"plan": "x"}])
def test_empty_plan_is_refused(arguments: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        JobPlanTool.parameters.model_validate(arguments)
