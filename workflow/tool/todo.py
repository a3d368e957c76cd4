"""The text form of the agent's todo list, as both todo tools show it to the model."""

from collections.abc import Sequence

from shared.contract.state import Todo, TodoStatus

_MARKS = {TodoStatus.PENDING: " ", TodoStatus.IN_PROGRESS: ">", TodoStatus.COMPLETED: "x"}


def todo_text(todos: Sequence[Todo]) -> str:
    """Return one line per item: mark, id, priority, content."""
    if not todos:
        return "The todo list is empty."
    return "\n".join(f"[{_MARKS[todo.status]}] {todo.id} ({todo.priority}) {todo.content}" for todo in todos)
