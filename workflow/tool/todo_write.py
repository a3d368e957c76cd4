"""todo_write: replaces the agent's todo list."""

from collections import Counter
from typing import Final

from pydantic import Field

from shared.contract.result import TodosResult
from shared.contract.state import AgentState, Todo, TodoPriority, TodoStatus
from workflow.errors import ToolError
from workflow.tool.base import Effect, Parameters, Tool, ToolContext, ToolResult
from workflow.tool.todo import todo_text

MAX_ITEMS: Final = 500  # all of the state, which includes the list, is written with each change
MAX_ITEM_CHARS: Final = 1000


class TodoItem(Parameters):
    """One item."""

    id: str = Field(min_length=1, max_length=100, description="A short id of your choice; no two items share one")
    content: str = Field(min_length=1, max_length=MAX_ITEM_CHARS, description="What is to be done")
    status: TodoStatus = Field(TodoStatus.PENDING, description="How far it is")
    priority: TodoPriority = Field(TodoPriority.MEDIUM, description="How much it matters")


class TodoWriteParameters(Parameters):
    """The list."""

    todos: tuple[TodoItem, ...] = Field(max_length=MAX_ITEMS, description="The full list; what is not in it is gone")


class TodoWriteTool(Tool[TodoWriteParameters]):
    """Stores the list in the state; needs no sandbox."""

    name = "todo_write"
    description = (
        "Replace your todo list. Use it for work of three steps or more: one item in progress at a time, each marked"
        " completed as soon as it is done."
    )
    parameters = TodoWriteParameters
    effect = Effect(read_only=False, idempotent=True, destructive=False)
    takes_mask = True

    async def run(self, params: TodoWriteParameters, context: ToolContext) -> ToolResult:
        """Return the list as it will be stored."""
        todos = tuple(Todo(**item.model_dump()) for item in params.todos)
        _refuse_duplicate_ids(todos)

        def store(state: AgentState) -> AgentState:
            return state.model_copy(update={"todos": todos})

        return ToolResult(
            text=todo_text(todos) + _hint(todos),
            result={"tool_todo_write_result": TodosResult(todos=todos).model_dump(mode="json")},
            state=store,
        )


def _refuse_duplicate_ids(todos: tuple[Todo, ...]) -> None:
    twice = [name for name, count in Counter(todo.id for todo in todos).items() if count > 1]
    if twice:
        raise ToolError(f"Several items have the id {', '.join(twice)}. Give each its own; the list was not changed.")


def _hint(todos: tuple[Todo, ...]) -> str:
    under_way = sum(todo.status is TodoStatus.IN_PROGRESS for todo in todos)
    return f"\n\n{under_way} items are in progress; work on one at a time." if under_way > 1 else ""
