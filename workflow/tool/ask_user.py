"""ask_user: a question that only the user can answer; the run waits for the answer."""

from typing import Annotated, Final

from pydantic import Field, StringConstraints

from shared.contract.event import ExecuteType
from shared.contract.state import Phase
from workflow.tool.base import Effect, Parameters, Tool, ToolContext, ToolResult

MAX_OPTIONS: Final = 10  # more is no longer a choice at a glance

_Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]


class AskUserParameters(Parameters):
    """The question."""

    question: _Text = Field(description="The question, complete in itself")
    options: tuple[_Text, ...] | None = Field(
        None,
        max_length=MAX_OPTIONS,
        description="Answers to choose from, if there are few; the user may answer otherwise",
    )


class AskUserTool(Tool[AskUserParameters]):
    """Puts the question to the client; the answer becomes the call's result."""

    name = "ask_user"
    description = (
        "Ask the user something that you cannot find out yourself and without which the work cannot go on. Call it"
        " alone: the work stops until the answer is there."
    )
    parameters = AskUserParameters
    effect = Effect(read_only=True, idempotent=True, destructive=False)
    phase = Phase.PLANNING
    exclusive = True
    asks_user = True
    takes_mask = True

    async def run(self, params: AskUserParameters, context: ToolContext) -> ToolResult:
        """Return the question as the client will see it."""
        return ToolResult(
            text="The question was put to the user.",
            result={
                "interrupt_result": {
                    "question": params.question,
                    "options": list(params.options or ()),
                    "call_id": context.call_id,
                }
            },
            execute_type=ExecuteType.ASK_USER,
        )
