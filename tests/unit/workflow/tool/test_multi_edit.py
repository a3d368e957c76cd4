"""multi_edit: all edits or none."""

import pytest
from pydantic import JsonValue, ValidationError

from tests.fakes.fake_sandbox import FakeSandbox
from tests.fakes.fake_tool_context import FakeToolContext, member
from workflow.errors import ToolError
from workflow.tool.multi_edit import MultiEditTool


async def edit(sandbox: FakeSandbox, *edits: JsonValue) -> str:
    result = await FakeToolContext(sandbox).call(MultiEditTool(), file_path="a.py", edits=list(edits))
    assert member(result, "tool_multi_edit_result")["file_path"] == "a.py"
    assert len(member(result, "tool_multi_edit_result")["edits"]) == len(edits)
    return result.text


async def test_edits_apply_in_order_each_on_the_outcome_of_those_before() -> None:
    sandbox = FakeSandbox({"a.py": "one\ntwo\ntwo\n"})
    text = await edit(
        sandbox,
        {"old_string": "one", "new_string": "three"},
        {"old_string": "three", "new_string": "four"},
        {"old_string": "two", "new_string": "2", "replace_all": True},
    )
    assert sandbox.text("a.py") == "four\n2\n2\n"
    assert "by 3 edits (places replaced by each: 1, 1, 2)" in text


async def test_failing_edit_is_named_and_nothing_is_written() -> None:
    sandbox = FakeSandbox({"a.py": "one\ntwo\n"})
    with pytest.raises(ToolError, match=r"Edit 2 of 2 failed, so none was made\. .*0 times"):
        await edit(sandbox, {"old_string": "one", "new_string": "1"}, {"old_string": "one", "new_string": "x"})
    assert sandbox.text("a.py") == "one\ntwo\n"


async def test_ambiguous_edit_needs_replace_all() -> None:
    sandbox = FakeSandbox({"a.py": "a a"})
    with pytest.raises(ToolError, match=r"Edit 1 of 1 .* occurs 2 times"):
        await edit(sandbox, {"old_string": "a", "new_string": "b"})


def test_call_without_edits_is_refused() -> None:
    with pytest.raises(ValidationError):
        MultiEditTool.parameters.model_validate({"file_path": "a.py", "edits": []})


def test_more_than_a_hundred_edits_are_refused() -> None:
    edits = [{"old_string": str(number), "new_string": "x"} for number in range(101)]
    with pytest.raises(ValidationError, match="at most 100 items"):
        MultiEditTool.parameters.model_validate({"file_path": "a.py", "edits": edits})
