"""ls: a folder as a tree, as deep as fits."""

import pytest

from tests.fakes.fake_sandbox import FakeSandbox
from tests.fakes.fake_tool_context import FakeToolContext, member
from workflow.errors import ToolError
from workflow.tool.ls import MAX_ENTRIES, LsTool


async def ls(files: list[str], path: str = ".", ignore: list[str] | None = None) -> list[str]:
    sandbox = FakeSandbox(dict.fromkeys(files, "x"))
    result = await FakeToolContext(sandbox).call(LsTool(), path=path, ignore=list(ignore or []))
    expected = {"path": path, "ignore": ignore or [], "result": result.text}
    assert member(result, "tool_ls_result") == expected
    return result.text.splitlines()


async def test_folder_is_shown_as_a_tree() -> None:
    assert await ls(["b.txt", "a/x.py", "a/c/y.py", "a-b/z"]) == [
        *("a/", "  c/", "    y.py", "  x.py"),
        *("a-b/", "  z", "b.txt"),
    ]


async def test_content_of_noise_folders_is_not_shown_unless_named() -> None:
    files = ["a.txt", ".git/config", "node_modules/x/y.js"]
    assert await ls(files) == [".git/", "a.txt", "node_modules/"]
    assert await ls(files, "node_modules") == ["x/", "  y.js"]


async def test_ignored_names_and_what_is_below_them_are_left_out() -> None:
    files = ["a.py", "a.pyc", "src/b.pyc", "src/b.py", "dist/x/y.js", "src/dist/z"]
    assert await ls(files, ignore=["*.pyc", "dist/"]) == ["a.py", "src/", "  b.py"]


async def test_deep_trees_are_shown_as_deep_as_fits() -> None:
    files = [f"d{folder}/f{number}" for folder in range(10) for number in range(100)]
    assert await ls(files) == [f"d{folder}/ (100 entries)" for folder in range(10)]


async def test_wide_folders_are_capped_and_it_is_said() -> None:
    lines = await ls([f"{number:04}" for number in range(1000)])
    assert len(lines) == MAX_ENTRIES + 1
    assert lines[-1] == "[700 more entries; use glob or ignore]"


async def test_a_deep_chain_is_shown_down_to_a_level_with_what_is_below() -> None:
    lines = await ls(["d/" * 100 + "file"])
    assert len(lines) == 30
    assert lines[-1].strip() == "d/ (71 entries)"


async def test_levels_that_do_not_fit_are_counted_by_the_folders_above_them() -> None:
    files = [f"a/{folder}/{number}" for folder in range(10) for number in range(40)] + ["b/c"]
    assert await ls(files) == ["a/", *(f"  {folder}/ (40 entries)" for folder in range(10)), "b/", "  c"]


async def test_empty_folder_is_said_to_be_empty() -> None:
    assert await ls([]) == ["The folder is empty."]
    assert await ls(["a.txt"], ignore=["*"]) == ["Everything in the folder is left out by ignore."]


@pytest.mark.parametrize(("path", "words"), [("no", "not exist"), ("a.txt", "not a folder"), ("/etc", "outside")])
async def test_path_that_is_no_folder_is_explained(path: str, words: str) -> None:
    with pytest.raises(ToolError, match=words):
        await ls(["a.txt"], path)
