"""Tool calls are assembled from deltas, however a server numbers and names them."""

import pytest

from shared.contract.message import ToolCall
from workflow.llm.model import DROPPED_ARGUMENTS, MAX_ARGUMENT_CHARS, MAX_CALLS
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


def test_complete_calls_under_one_index_are_several() -> None:
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


def test_arguments_without_end_are_dropped_and_the_answer_is_to_be_broken_off() -> None:
    assembly = ToolCallAssembly()
    assembly.add(index=0, call_id="a", name="ls", arguments="{}")
    piece = "x" * 1000
    while not assembly.is_too_long:
        assembly.add(index=1, call_id="b", name="bash", arguments=piece)
    assembly.add(index=1, call_id=None, name=None, arguments=piece)
    assert [(call.name, call.arguments) for call in assembly.calls()] == [("ls", "{}"), ("bash", DROPPED_ARGUMENTS)]
    assert assembly.chars <= MAX_ARGUMENT_CHARS + 2 * len(piece) + 2


def test_calls_without_end_are_not_kept() -> None:
    assembly = ToolCallAssembly()
    for index in range(MAX_CALLS + 10):
        assembly.add(index=index, call_id=f"{index}", name="n" * 10_000, arguments="{}")
    assert assembly.is_too_long
    assert len(assembly.calls()) == MAX_CALLS
    assert len(assembly.calls()[0].name) == 200
