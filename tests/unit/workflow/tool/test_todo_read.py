"""todo_read: the list of the state."""

from shared.contract.state import AgentState, Todo, TodoPriority, TodoStatus
from tests.fakes.fake_tool_context import FakeToolContext, member
from workflow.tool.todo_read import TodoReadTool


async def test_list_is_shown_with_marks() -> None:
    todos = (
        Todo(id="1", content="build", status=TodoStatus.COMPLETED),
        Todo(id="2", content="check", status=TodoStatus.IN_PROGRESS, priority=TodoPriority.HIGH),
        Todo(id="3", content="ship"),
    )
    result = await FakeToolContext(state=AgentState(todos=todos)).call(TodoReadTool())
    assert result.text == "[x] 1 (medium) build\n[>] 2 (high) check\n[ ] 3 (medium) ship"
    assert [todo["id"] for todo in member(result, "tool_todo_read_result")["todos"]] == ["1", "2", "3"]
    assert result.state is None


async def test_empty_list_is_said_to_be_empty() -> None:
    assert (await FakeToolContext().call(TodoReadTool())).text == "The todo list is empty."
