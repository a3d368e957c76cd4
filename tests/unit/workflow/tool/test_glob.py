"""glob: which paths match and in which order they come."""

import pytest

from tests.fakes.fake_sandbox import FakeSandbox
from tests.fakes.fake_tool_context import FakeToolContext, member
from workflow.errors import ToolError
from workflow.tool.glob import MAX_PATHS, GlobTool

FILES = ("a.py", "b.js", "src/c.py", "src/deep/d.py", ".github/e.yml", ".git/f.py", "node_modules/g/h.py")


async def find(pattern: str, path: str | None = None, files: tuple[str, ...] = FILES) -> list[str]:
    ages = {file: float(age) for age, file in enumerate(sorted(files))}  # the later in the alphabet, the newer
    sandbox = FakeSandbox(dict.fromkeys(files, "x"), modified=ages)
    result = await FakeToolContext(sandbox).call(GlobTool(), pattern=pattern, path=path)
    assert member(result, "tool_glob_result") == {"pattern": pattern, "path": path or ".", "result": result.text}
    return result.text.splitlines()


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("*.py", ["a.py"]),
        ("**/*.py", ["src/deep/d.py", "src/c.py", "a.py"]),
        ("src/**", ["src/deep/d.py", "src/c.py"]),
        ("*.{py,js}", ["b.js", "a.py"]),
        ("/workspace/src/*.py", ["src/c.py"]),
        ("./[ab].*", ["b.js", "a.py"]),
        ("**/*.yml", [".github/e.yml"]),
        ("node_modules/**/*.py", ["node_modules/g/h.py"]),
        (".git/*", [".git/f.py"]),
    ],
)
async def test_matching_files_come_newest_first(pattern: str, found: list[str]) -> None:
    assert await find(pattern) == found


async def test_paths_under_a_folder_are_relative_to_the_workspace() -> None:
    assert await find("**/*.py", "src") == ["src/deep/d.py", "src/c.py"]


async def test_named_folder_is_searched_even_if_usually_left_out() -> None:
    assert await find("**/*.py", "node_modules") == ["node_modules/g/h.py"]


async def test_no_match_suggests_looking_deeper() -> None:
    assert await find("*.rs") == ["No files match *.rs. Use **/*.rs to look in all folders."]


async def test_long_answers_are_capped_and_it_is_said() -> None:
    found = await find("*", files=tuple(f"{n}.txt" for n in range(500)))
    assert len(found) == MAX_PATHS + 1
    assert found[-1] == "[300 more files; narrow the pattern]"


@pytest.mark.parametrize(
    ("pattern", "path", "words"),
    [
        ("*", "no", "does not exist"),
        ("*", "..", "outside"),
        ("*", "a.py", "not a folder"),
        ("{1..9999}", None, "too many"),
    ],
)
async def test_glob_that_cannot_be_used_is_explained(pattern: str, path: str | None, words: str) -> None:
    with pytest.raises(ToolError, match=words):
        await find(pattern, path)
