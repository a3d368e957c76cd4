"""todo_write: the full list replaces what was there."""

import pytest
from pydantic import JsonValue, ValidationError

from shared.contract.state import AgentState, Todo, TodoStatus
from tests.fakes.fake_tool_context import FakeToolContext, member
from workflow.errors import ToolError
from workflow.tool.todo_write import TodoWriteTool


async def test_list_replaces_the_one_before() -> None:
    result = await FakeToolContext().call(
        TodoWriteTool(), todos=[{"id": "1", "content": "build", "status": "in_progress"}]
    )
    assert result.text == "[>] 1 (medium) build"
    assert member(result, "tool_todo_write_result") == {
        "todos": [{"id": "1", "content": "build", "status": "in_progress", "priority": "medium"}]
    }
    assert result.state is not None
    after = result.state(AgentState(todos=(Todo(id="9", content="old"),)))
    assert after.todos == (Todo(id="1", content="build", status=TodoStatus.IN_PROGRESS),)


async def test_list_can_be_emptied() -> None:
    result = await FakeToolContext().call(TodoWriteTool(), todos=[])
    assert result.state is not None
    assert result.state(AgentState(todos=(Todo(id="9", content="old"),))).todos == ()


async def test_several_items_in_progress_are_a_hint_not_an_error() -> None:
    items: list[JsonValue] = [{"id": name, "content": "x", "status": "in_progress"} for name in "ab"]
    result = await FakeToolContext().call(TodoWriteTool(), todos=items)
    assert not result.is_error
    assert "2 items are in progress" in result.text


async def test_shared_id_is_refused_by_name() -> None:
    items: list[JsonValue] = [{"id": name, "content": "x"} for name in "aab"]
    with pytest.raises(ToolError, match="the id a"):
        await FakeToolContext().call(TodoWriteTool(), todos=items)


def test_unknown_status_is_refused() -> None:
    with pytest.raises(ValidationError):
        TodoWriteTool.parameters.model_validate({"todos": [{"id": "1", "content": "x", "status": "done"}]})


def test_a_list_of_100000_items_is_refused() -> None:
    items = [{"id": str(number), "content": "x"} for number in range(100_000)]
    with pytest.raises(ValidationError, match="at most 500 items"):
        TodoWriteTool.parameters.model_validate({"todos": items})
