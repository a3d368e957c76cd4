"""todo_read: the agent's current todo list."""

from shared.contract.result import TodosResult
from workflow.tool.base import Effect, Parameters, Tool, ToolContext, ToolResult
from workflow.tool.todo import todo_text


class TodoReadParameters(Parameters):
    """None."""


class TodoReadTool(Tool[TodoReadParameters]):
    """Shows the list; needs no sandbox."""

    name = "todo_read"
    description = "Read your todo list: [ ] is pending, [>] in progress, [x] completed."
    parameters = TodoReadParameters
    effect = Effect(read_only=True, idempotent=True, destructive=False)

    async def run(self, params: TodoReadParameters, context: ToolContext) -> ToolResult:
        """Return the list of the state."""
        todos = context.state.todos
        return ToolResult(
            text=todo_text(todos),
            result={"tool_todo_read_result": TodosResult(todos=todos).model_dump(mode="json")},
        )
