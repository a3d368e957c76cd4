"""suggest_next_steps: what the user might ask for next."""

from typing import Annotated

from pydantic import Field, StringConstraints

from workflow.tool.base import Effect, Parameters, Tool, ToolContext, ToolResult

_Step = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=300)]


class SuggestNextStepsParameters(Parameters):
    """The suggestions."""

    next_steps: tuple[_Step, ...] = Field(
        min_length=1,
        max_length=5,
        description="One to five short suggestions, each worded as the user would ask for it",
    )


class SuggestNextStepsTool(Tool[SuggestNextStepsParameters]):
    """Passes the suggestions on to the client; changes nothing."""

    name = "suggest_next_steps"
    description = "Suggest to the user what to ask for next. Use it once, when the work is done."
    parameters = SuggestNextStepsParameters
    effect = Effect(read_only=True, idempotent=True, destructive=False)
    takes_mask = True

    async def run(self, params: SuggestNextStepsParameters, context: ToolContext) -> ToolResult:
        """Return the suggestions."""
        return ToolResult(
            text="The suggestions are shown to the user.",
            result={"tool_suggest_next_steps_result": list(params.next_steps)},
        )
