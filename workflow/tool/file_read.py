"""file_read: a range of lines of a text file, numbered."""

from typing import Final

from pydantic import Field

from shared.contract.result import FileReadResult
from workflow.errors import ToolError
from workflow.service.sandbox.base import LinesPage, LinesWanted
from workflow.tool.base import Effect, Parameters, Tool, ToolContext, ToolResult
from workflow.tool.numbered_lines import numbered
from workflow.tool.workspace import MAX_PATH_CHARS, file_errors

MAX_LINE_CHARS: Final = 2000  # minified files have lines that would fill the whole answer
_NUMBER_CHARS: Final = 8  # line number, tab and line end
_NOTE_CHARS: Final = 200  # what the notes at the end may take of the output limit


class FileReadParameters(Parameters):
    """Which lines of which file."""

    file_path: str = Field(
        min_length=1,
        max_length=MAX_PATH_CHARS,
        description="Path of the file, relative to the workspace or absolute inside it",
    )
    offset: int = Field(1, ge=1, description="Number of the first line to read, from 1")
    limit: int = Field(2000, ge=1, le=20_000, description="Number of lines to read at most")


class FileReadTool(Tool[FileReadParameters]):
    """Reads text; says so where a file is binary, empty or longer than what is shown."""

    name = "file_read"
    description = (
        "Read a text file. Each line comes with its number and a tab, which are not part of the file."
        " Read a file before you edit it; read long files in parts with offset and limit."
    )
    parameters = FileReadParameters
    effect = Effect(read_only=True, idempotent=True, destructive=False)
    uses_workspace = True
    max_output_chars = 100_000

    async def run(self, params: FileReadParameters, context: ToolContext) -> ToolResult:
        """Return the lines and how many are left."""
        sandbox = await context.sandbox()
        wanted = LinesWanted(
            params.offset, params.limit, context.max_output_chars - _NOTE_CHARS, MAX_LINE_CHARS, _NUMBER_CHARS
        )
        with file_errors(params.file_path):
            page = await sandbox.read_lines(params.file_path, wanted)
        content = _content(page, params)
        result = FileReadResult(file_path=params.file_path, content=content)
        return ToolResult(text=content, result={"tool_file_read_result": result.model_dump(mode="json")})


def _content(page: LinesPage, params: FileReadParameters) -> str:
    if page.is_binary:
        raise ToolError(
            f"{params.file_path} is a binary file ({page.size_bytes} bytes), not text. Look at it with bash."
        )
    if not page.lines and not page.total:
        return f"{params.file_path} is empty."
    if not page.lines:
        raise ToolError(f"{params.file_path} has {page.total} lines; there is none at offset {params.offset}.")
    notes = []
    if page.left != 0:
        count = "more" if page.left is None else f"{page.left} more"
        notes.append(f"[{count} lines; go on with offset {params.offset + len(page.lines)}]")
    return "\n".join([numbered(page.lines, params.offset), *notes])
