"""multi_edit: several exact replacements in one file, all of them or none."""

from typing import Final

from pydantic import Field

from shared.contract.result import MultiEditResult, TextEdit
from workflow.errors import EditRefusedError, ToolError
from workflow.service.sandbox.base import TextReplacement
from workflow.tool.base import Effect, Parameters, Tool, ToolContext, ToolResult
from workflow.tool.numbered_lines import numbered
from workflow.tool.workspace import MAX_PATH_CHARS, file_errors

MAX_EDITS: Final = 100  # of one call; each looks through the whole file


class Edit(Parameters):
    """One replacement."""

    old_string: str = Field(description="The text to replace, exactly as in the file after the edits before this one")
    new_string: str = Field(description="The text to put in its place; empty to remove it")
    replace_all: bool = Field(False, description="Replace every place instead of the only one")


class MultiEditParameters(Parameters):
    """The file and its edits."""

    file_path: str = Field(
        min_length=1,
        max_length=MAX_PATH_CHARS,
        description="Path of the file, relative to the workspace or absolute inside it",
    )
    edits: tuple[Edit, ...] = Field(
        min_length=1, max_length=MAX_EDITS, description="The edits, made in this order; all or none"
    )


class MultiEditTool(Tool[MultiEditParameters]):
    """Applies edits in order and writes the file once, after the last has succeeded."""

    name = "multi_edit"
    description = (
        "Make several replacements in one file in one go. They are made in order, each on the outcome of those before."
        " If one cannot be made, none is. Each old_string must occur exactly once, unless replace_all is set."
    )
    parameters = MultiEditParameters
    effect = Effect(read_only=False, idempotent=False, destructive=True)
    uses_workspace = True

    async def run(self, params: MultiEditParameters, context: ToolContext) -> ToolResult:
        """Return how often each edit applied and the lines around the last changed place."""
        sandbox = await context.sandbox()
        replacements = [TextReplacement(edit.old_string, edit.new_string, edit.replace_all) for edit in params.edits]
        try:
            with file_errors(params.file_path, EditRefusedError):
                edited = await sandbox.edit_file(params.file_path, replacements)
        except EditRefusedError as error:
            failed = f"Edit {error.number} of {len(replacements)} failed, so none was made."
            raise ToolError(f"{failed} {error.message}") from error
        edits = tuple(TextEdit(**edit.model_dump()) for edit in params.edits)
        counts = ", ".join(map(str, edited.counts))
        place = numbered(edited.lines, edited.first_line)
        return ToolResult(
            text=(
                f"{params.file_path} was changed by {len(edited.counts)} edits (places replaced by each: {counts})."
                f" The last place now reads:\n{place}"
            ),
            result={
                "tool_multi_edit_result": MultiEditResult(file_path=params.file_path, edits=edits).model_dump(
                    mode="json"
                )
            },
        )
