"""Tool calls come whole out of deltas, however a server numbers and names them."""

import pytest

from shared.contract.message import ToolCall
from workflow.llm.tool_call_assembly import ToolCallAssembly

Delta = tuple[int, str | None, str | None, str | None]


def assemble(*deltas: Delta) -> tuple[ToolCall, ...]:
    assembly = ToolCallAssembly()
    for index, call_id, name, arguments in deltas:
        assembly.add(index=index, call_id=call_id, name=name, arguments=arguments)
    return assembly.calls()


def test_interleaved_deltas_are_kept_apart_by_index() -> None:
    calls = assemble(
        (0, "a", "ls", ""),
        (1, "b", "pwd", None),
        (0, None, None, '{"x"'),
        (1, None, None, "{}"),
        (0, None, None, ":1}"),
    )
    assert [(call.call_id, call.name, call.arguments) for call in calls] == [("a", "ls", '{"x":1}'), ("b", "pwd", "{}")]


def test_whole_calls_under_one_index_are_several() -> None:
    calls = assemble((0, "a", "ls", '{"x":1}'), (0, "b", "ls", '{"x":2}'))
    assert [(call.call_id, call.arguments) for call in calls] == [("a", '{"x":1}'), ("b", '{"x":2}')]


def test_an_id_in_every_delta_is_one_call() -> None:
    (call,) = assemble((0, "a", "ls", '{"x"'), (0, "a", "ls", ":1}"))
    assert (call.name, call.arguments) == ("ls", '{"x":1}')


@pytest.mark.parametrize("call_id", [None, "", "same"])
def test_every_call_gets_an_id_of_its_own(call_id: str | None) -> None:
    calls = assemble((0, call_id, "ls", "{}"), (1, call_id, "ls", "{}"))
    assert len({call.call_id for call in calls}) == 2
    assert all(call.call_id for call in calls)


def test_no_arguments_are_an_empty_object() -> None:
    (call,) = assemble((0, "a", "todo_read", None))
    assert call.arguments == "{}"


def test_broken_arguments_are_left_as_they_are() -> None:
    (call,) = assemble((0, "a", "ls", '{"x": '))
    assert call.arguments == '{"x": '
