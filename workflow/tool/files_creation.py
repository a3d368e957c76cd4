"""files_creation: writes several complete files in one call."""

import posixpath
from collections.abc import Sequence
from typing import Final

from pydantic import Field

from shared.contract.result import CreatedFile, FilesCreationResult
from workflow.errors import ToolError
from workflow.tool.base import Effect, Parameters, Tool, ToolContext, ToolResult
from workflow.tool.file_match import ancestors
from workflow.tool.workspace import MAX_PATH_CHARS, file_errors

MAX_FILES: Final = 200  # of one call; how large they may be together is bounded by a call's arguments


class NewFile(Parameters):
    """One file."""

    file_path: str = Field(
        min_length=1,
        max_length=MAX_PATH_CHARS,
        description="Path of the file, relative to the workspace or absolute inside it",
    )
    content: str = Field(description="The whole content")


class FilesCreationParameters(Parameters):
    """The files."""

    files: tuple[NewFile, ...] = Field(
        min_length=1, max_length=MAX_FILES, description="The files to write; folders are made as needed"
    )


class FilesCreationTool(Tool[FilesCreationParameters]):
    """Writes complete files; every path is checked before the first is written."""

    name = "files_creation"
    description = (
        "Write one or more whole files, replacing those that exist. To change a part of a file, use file_edit or"
        " multi_edit instead."
    )
    parameters = FilesCreationParameters
    effect = Effect(read_only=False, idempotent=True, destructive=True)
    uses_workspace = True

    async def run(self, params: FilesCreationParameters, context: ToolContext) -> ToolResult:
        """Return the size of each file and whether it was there before."""
        sandbox = await context.sandbox()
        _refuse_conflicts([_name(sandbox.workspace, file.file_path) for file in params.files])
        contents = {file.file_path: file.content.encode() for file in params.files}
        with file_errors("One of the files"):
            replaced = await sandbox.write_files(contents)
        created = tuple(CreatedFile(file_path=path, bytes=len(data)) for path, data in contents.items())
        lines = [
            f"{'replaced' if file.file_path in replaced else 'created'} {file.file_path} ({file.bytes} bytes)"
            for file in created
        ]
        return ToolResult(
            text="\n".join(lines),
            result={"tool_files_creation_result": FilesCreationResult(files=created).model_dump(mode="json")},
        )


def _name(workspace: str, path: str) -> str:
    """Return the path relative to the workspace, by name alone: that it stays inside is for the sandbox to check."""
    return posixpath.relpath(posixpath.join(workspace, path), workspace)


def _refuse_conflicts(paths: Sequence[str]) -> None:
    seen: set[str] = set()
    for path in paths:
        if path in seen:
            raise ToolError(f"{path} is given twice. Give each file once; nothing was written.")
        seen.add(path)
    for path in paths:
        folder = next((folder for folder in ancestors(path) if folder in seen), None)
        if folder is not None:
            raise ToolError(f"{folder} is given as a file and as the folder of {path}; nothing was written.")
