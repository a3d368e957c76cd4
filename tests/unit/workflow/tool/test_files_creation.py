"""files_creation: several files in one call, checked before any is written."""

import orjson
import pytest
from pydantic import JsonValue, ValidationError

from shared.contract.message import ToolCall
from tests.fakes.fake_sandbox import FakeSandbox
from tests.fakes.fake_tool_context import FakeToolContext, member
from workflow.errors import ToolError
from workflow.tool.arguments import validated
from workflow.tool.base import ToolResult
from workflow.tool.files_creation import FilesCreationTool


async def create(sandbox: FakeSandbox, *paths: str) -> ToolResult:
    files: list[JsonValue] = [{"file_path": path, "content": f"é {path}"} for path in paths]
    return await FakeToolContext(sandbox).call(FilesCreationTool(), files=files)


async def test_files_are_written_and_sizes_given_in_bytes() -> None:
    sandbox = FakeSandbox({"old.txt": "x"})
    result = await create(sandbox, "src/new.txt", "old.txt")
    assert sandbox.text("src/new.txt") == "é src/new.txt"
    assert result.text == "created src/new.txt (14 bytes)\nreplaced old.txt (10 bytes)"
    assert member(result, "tool_files_creation_result") == {
        "files": [{"file_path": "src/new.txt", "bytes": 14}, {"file_path": "old.txt", "bytes": 10}]
    }


@pytest.mark.parametrize(
    ("paths", "words"),
    [
        (("a.txt", "./a.txt"), "a.txt is given twice"),
        (("b/c.txt", "b"), "b is given as a file and as the folder"),
        (("a.txt", "../b.txt"), "outside the workspace"),
        (("a.txt", "/etc/b.txt"), "outside the workspace"),
        (("a.txt", "folder"), "is a folder"),
        (("a.txt", "folder/file.txt/x"), "is not a folder"),
    ],
    ids=["duplicate", "file and folder", "above", "absolute", "a folder", "under a file"],
)
async def test_one_bad_path_means_that_nothing_is_written(paths: tuple[str, ...], words: str) -> None:
    sandbox = FakeSandbox({"folder/file.txt": "x"})
    with pytest.raises(ToolError, match=words):
        await create(sandbox, *paths)
    assert list(sandbox.files) == ["folder/file.txt"]


def test_call_without_files_is_refused() -> None:
    with pytest.raises(ValidationError):
        FilesCreationTool.parameters.model_validate({"files": []})


async def test_a_file_of_half_a_megabyte_can_be_written_but_not_a_thousand_files() -> None:
    sandbox = FakeSandbox()
    content = "é\n" * 250_000
    arguments = orjson.dumps({"files": [{"file_path": "a.txt", "content": content}]}).decode()
    call = ToolCall(call_id="c", name="files_creation", arguments=arguments)
    params = validated(FilesCreationTool.parameters, call)
    await FilesCreationTool().run(params, FakeToolContext(sandbox).make())  # type: ignore[arg-type]  # its own model
    assert sandbox.text("a.txt") == content
    with pytest.raises(ValidationError, match="at most 200 items"):
        await create(sandbox, *(f"{number}.txt" for number in range(1000)))
