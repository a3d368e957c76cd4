"""file_read: a range of lines of a text file, numbered."""

from typing import Final

from pydantic import Field

from shared.contract.result import FileReadResult
from workflow.errors import ToolError
from workflow.tool.base import Effect, Parameters, Tool, ToolContext, ToolResult
from workflow.tool.text_edit import numbered
from workflow.tool.workspace import MAX_FILE_BYTES, file_errors, is_binary

MAX_LINE_CHARS: Final = 2000  # minified files have lines that would fill the whole answer
_NUMBER_CHARS: Final = 8  # line number, tab and line end
_NOTE_CHARS: Final = 200  # what the notes at the end may take of the output limit


class FileReadParameters(Parameters):
    """Which lines of which file."""

    file_path: str = Field(
        min_length=1, description="Path of the file, relative to the workspace or absolute inside it"
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
    max_output_chars = 100_000

    async def run(self, params: FileReadParameters, context: ToolContext) -> ToolResult:
        """Return the lines and how many are left."""
        sandbox = await context.sandbox()
        with file_errors(params.file_path):
            data = await sandbox.read_file(params.file_path, MAX_FILE_BYTES + 1)
        if is_binary(data):
            raise ToolError(f"{params.file_path} is a binary file ({_size(data)}), not text. Look at it with bash.")
        content = _page(data, params, context.max_output_chars - _NOTE_CHARS)
        result = FileReadResult(file_path=params.file_path, content=content)
        return ToolResult(text=content, result={"tool_file_read_result": result.model_dump(mode="json")})


def _size(data: bytes) -> str:
    return f"{len(data)} bytes" if len(data) <= MAX_FILE_BYTES else f"more than {MAX_FILE_BYTES} bytes"


def _page(data: bytes, params: FileReadParameters, max_chars: int) -> str:
    if not data:
        return f"{params.file_path} is empty."
    lines = _lines(data[:MAX_FILE_BYTES])
    if params.offset > len(lines):
        raise ToolError(f"{params.file_path} has {len(lines)} lines; there is none at offset {params.offset}.")
    wanted = lines[params.offset - 1 : params.offset - 1 + params.limit]
    shown = _that_fit([_cut_line(line) for line in wanted], max_chars)
    notes = []
    end = params.offset - 1 + len(shown)
    if end < len(lines):
        notes.append(f"[{len(lines) - end} more lines; go on with offset {end + 1}]")
    if len(data) > MAX_FILE_BYTES:
        notes.append(f"[only the first {MAX_FILE_BYTES} bytes were read; use tail or sed in bash for the rest]")
    return "\n".join([numbered(shown, params.offset), *notes])


def _that_fit(lines: list[str], max_chars: int) -> list[str]:
    """Return as many whole lines as fit, one at least, so that the next page begins where this one ends."""
    used = 0
    for count, line in enumerate(lines):
        used += len(line) + _NUMBER_CHARS
        if used > max_chars and count:
            return lines[:count]
    return lines


def _lines(data: bytes) -> list[str]:
    text = data.decode("utf-8", errors="replace").removeprefix("\ufeff")
    return [line.removesuffix("\r") for line in text.removesuffix("\n").split("\n")]


def _cut_line(line: str) -> str:
    if len(line) <= MAX_LINE_CHARS:
        return line
    return f"{line[:MAX_LINE_CHARS]} [line cut, {len(line)} characters]"
