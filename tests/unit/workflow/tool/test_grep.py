"""grep: what is asked of the engine and how its answer is read."""

import pytest

from tests.fakes.fake_sandbox import CommandReply, FakeSandbox, Reply, prints
from tests.fakes.fake_tool_context import FakeToolContext, member
from workflow.errors import ToolError
from workflow.tool.base import ToolResult
from workflow.tool.grep import MAX_MATCHES, GrepTool


async def grep(*replies: Reply, **arguments: str) -> tuple[ToolResult, FakeSandbox]:
    sandbox = FakeSandbox({"src/a.py": "x"}, replies)
    result = await FakeToolContext(sandbox).call(GrepTool(), **{"pattern": "x", **arguments})
    return result, sandbox


async def test_pattern_and_path_cannot_be_taken_for_options() -> None:
    _, sandbox = await grep(prints("src/a.py:1:x\n"), pattern="--pre=sh", include="--x", path="src")
    argv = list(sandbox.commands[0].argv)
    assert argv[0] == "rg"
    assert argv[-4:] == ["-e", "--pre=sh", "--", "src"]
    assert "--glob=--x" in argv


async def test_matches_are_given_relative_to_the_workspace() -> None:
    result, _ = await grep(prints("./src/a.py:1:x = 1\n"))
    assert result.text == "src/a.py:1:x = 1"
    assert member(result, "tool_grep_result") == {"pattern": "x", "path": ".", "result": "src/a.py:1:x = 1"}


async def test_grep_takes_over_where_there_is_no_ripgrep() -> None:
    result, sandbox = await grep(
        prints("rg: command not found", exit_code=127), prints("src/a.py:1:x\n"), include="*.py"
    )
    argv = list(sandbox.commands[1].argv)
    assert argv[0] == "grep"
    assert argv[-4:] == ["-e", "x", "--", "."]
    assert "--include=*.py" in argv
    assert result.text == "src/a.py:1:x"


async def test_no_engine_at_all_is_explained() -> None:
    with pytest.raises(ToolError, match="neither rg nor grep"):
        await grep(prints(exit_code=127), prints(exit_code=127))


async def test_finding_nothing_is_no_error() -> None:
    result, _ = await grep(prints(exit_code=1))
    assert result.text == "No matches."
    assert not result.is_error


async def test_bad_pattern_comes_back_in_the_words_of_the_engine() -> None:
    with pytest.raises(ToolError, match="cannot be used: rg: regex parse error"):
        await grep(prints("rg: regex parse error:\n    (x\n", exit_code=2), pattern="(x")


async def test_unreadable_files_do_not_hide_the_matches() -> None:
    result, _ = await grep(prints("src/a.py:1:x\n", exit_code=2))
    assert result.text == "src/a.py:1:x"


async def test_too_many_matches_are_capped_and_it_is_said() -> None:
    result, _ = await grep(prints("".join(f"a:{n}:x\n" for n in range(1000))))
    lines = result.text.splitlines()
    assert len(lines) == MAX_MATCHES + 1
    assert "narrow the search" in lines[-1]


async def test_late_search_is_an_error() -> None:
    with pytest.raises(ToolError, match="took too long"):
        await grep(CommandReply(timed_out=True))


@pytest.mark.parametrize(("path", "words"), [("no", "does not exist"), ("..", "outside the workspace")])
async def test_path_that_cannot_be_searched_is_explained(path: str, words: str) -> None:
    with pytest.raises(ToolError, match=words):
        await grep(path=path)


async def test_single_file_can_be_searched() -> None:
    _, sandbox = await grep(prints("src/a.py:1:x"), path="src/a.py")
    assert list(sandbox.commands[0].argv)[-1] == "src/a.py"
