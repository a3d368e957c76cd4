"""multi_edit: several exact replacements in one file, all of them or none."""

from pydantic import Field

from shared.contract.result import MultiEditResult, TextEdit
from workflow.errors import ToolError
from workflow.tool.base import Effect, Parameters, Tool, ToolContext, ToolResult
from workflow.tool.text_edit import EditedText, replace_exactly, snippet
from workflow.tool.workspace import read_for_edit, write_text


class Edit(Parameters):
    """One replacement."""

    old_string: str = Field(description="The text to replace, exactly as in the file after the edits before this one")
    new_string: str = Field(description="The text to put in its place; empty to remove it")
    replace_all: bool = Field(False, description="Replace every place instead of the only one")


class MultiEditParameters(Parameters):
    """The file and its edits."""

    file_path: str = Field(
        min_length=1, description="Path of the file, relative to the workspace or absolute inside it"
    )
    edits: tuple[Edit, ...] = Field(min_length=1, description="The edits, made in this order; all or none")


class MultiEditTool(Tool[MultiEditParameters]):
    """Applies edits in order and writes the file once, after the last has succeeded."""

    name = "multi_edit"
    description = (
        "Make several replacements in one file in one go. They are made in order, each on the outcome of those before."
        " If one cannot be made, none is. Each old_string must occur exactly once, unless replace_all is set."
    )
    parameters = MultiEditParameters
    effect = Effect(read_only=False, idempotent=False, destructive=True)

    async def run(self, params: MultiEditParameters, context: ToolContext) -> ToolResult:
        """Return how often each edit applied and the lines around the last changed place."""
        sandbox = await context.sandbox()
        steps = _apply(await read_for_edit(sandbox, params.file_path), params.edits)
        await write_text(sandbox, params.file_path, steps[-1].text)
        edits = tuple(TextEdit(**edit.model_dump()) for edit in params.edits)
        counts = ", ".join(str(step.replacements) for step in steps)
        return ToolResult(
            text=(
                f"{params.file_path} was changed by {len(steps)} edits (places replaced by each: {counts})."
                f" The last place now reads:\n{snippet(steps[-1])}"
            ),
            result={
                "tool_multi_edit_result": MultiEditResult(file_path=params.file_path, edits=edits).model_dump(
                    mode="json"
                )
            },
        )


def _apply(text: str, edits: tuple[Edit, ...]) -> list[EditedText]:
    steps: list[EditedText] = []
    for number, edit in enumerate(edits, 1):
        try:
            step = replace_exactly(text, edit.old_string, edit.new_string, replace_all=edit.replace_all)
        except ToolError as error:
            raise ToolError(f"Edit {number} of {len(edits)} failed, so none was made. {error.message}") from error
        steps.append(step)
        text = step.text
    return steps
