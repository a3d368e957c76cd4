"""Small tools whose body a test writes: LookTool only reads, ChangeTool changes something."""

from collections.abc import Awaitable, Callable

from workflow.tool.base import Effect, Parameters, Tool, ToolContext, ToolResult


class ScriptedParameters(Parameters):
    """One number that distinguishes calls."""

    number: int = 0


Body = Callable[[ScriptedParameters, ToolContext], Awaitable[ToolResult]]


class LookTool(Tool[ScriptedParameters]):
    """Reads only: neighbours run side by side."""

    name = "look"
    description = "Looks."
    parameters = ScriptedParameters
    effect = Effect(read_only=True, idempotent=True, destructive=False)

    def __init__(self, body: Body) -> None:
        self._body = body

    async def run(self, params: ScriptedParameters, context: ToolContext) -> ToolResult:
        """Run the body that the test gave."""
        return await self._body(params, context)


class ChangeTool(LookTool):
    """Changes something: runs alone and in order."""

    name = "change"
    description = "Changes."
    effect = Effect(read_only=False, idempotent=False, destructive=True)
