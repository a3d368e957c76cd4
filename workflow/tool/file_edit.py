"""file_edit: one exact replacement in one file."""

from pydantic import Field

from shared.contract.result import FileEditResult
from workflow.service.sandbox.base import TextReplacement
from workflow.tool.base import Effect, Parameters, Tool, ToolContext, ToolResult
from workflow.tool.numbered_lines import numbered
from workflow.tool.workspace import MAX_PATH_CHARS, file_errors


class FileEditParameters(Parameters):
    """What to replace by what."""

    path: str = Field(
        min_length=1,
        max_length=MAX_PATH_CHARS,
        description="Path of the file, relative to the workspace or absolute inside it",
    )
    old_str: str = Field(description="The text to replace, exactly as in the file; it must occur there exactly once")
    new_str: str = Field(description="The text to put in its place; empty to remove it")


class FileEditTool(Tool[FileEditParameters]):
    """Replaces a text that occurs exactly once; CRLF files keep their line ends."""

    name = "file_edit"
    description = (
        "Replace one piece of text in a file. old_str must match exactly, white space included, and be the only such"
        " place: add surrounding lines where it is not."
    )
    parameters = FileEditParameters
    effect = Effect(read_only=False, idempotent=False, destructive=True)
    uses_workspace = True

    async def run(self, params: FileEditParameters, context: ToolContext) -> ToolResult:
        """Return the lines around the changed place."""
        sandbox = await context.sandbox()
        with file_errors(params.path):
            edited = await sandbox.edit_file(params.path, [TextReplacement(params.old_str, params.new_str)])
        place = numbered(edited.lines, edited.first_line)
        result = FileEditResult(path=params.path, old_str=params.old_str, new_str=params.new_str)
        return ToolResult(
            text=f"{params.path} was changed. The place now reads:\n{place}",
            result={"tool_file_edit_result": result.model_dump(mode="json")},
        )
