"""job_plan: the model writes its plan down, which begins the execution phase."""

from typing import Annotated

from pydantic import Field, StringConstraints

from shared.contract.result import JobPlanResult
from shared.contract.state import AgentState, Phase, Plan
from workflow.tool.base import Effect, Parameters, Tool, ToolContext, ToolResult

_Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]


class JobPlanParameters(Parameters):
    """The plan."""

    name: _Text = Field(description="A short name for the job, a few words")
    plan: _Text = Field(description="The steps to take, in order, as Markdown text; say how the result will be checked")


class JobPlanTool(Tool[JobPlanParameters]):
    """Stores the plan and turns the phase to execution."""

    name = "job_plan"
    description = (
        "Write down the plan of a job that needs tools, then work on it: afterwards all other tools are available."
        " Call it alone. For a question that needs no tools, answer at once instead."
    )
    parameters = JobPlanParameters
    effect = Effect(read_only=False, idempotent=True, destructive=False)
    phase = Phase.PLANNING
    ends_planning = True
    exclusive = True
    takes_mask = True

    async def run(self, params: JobPlanParameters, context: ToolContext) -> ToolResult:
        """Return the plan as it will be stored."""
        plan = Plan(name=params.name, plan=params.plan)

        def begin_execution(state: AgentState) -> AgentState:
            return state.model_copy(update={"phase": Phase.EXECUTION, "plan": plan})

        return ToolResult(
            text=f'The plan "{plan.name}" is stored. Carry it out now, step by step.',
            result={"tool_job_plan_result": JobPlanResult(name=plan.name, plan=plan.plan).model_dump(mode="json")},
            state=begin_execution,
        )
