"""ls: what is in a folder, as a tree as deep as fits."""

from typing import Annotated, Final

from pydantic import Field

from shared.contract.result import LsResult
from workflow.service.sandbox.base import FolderTree, TreeEntry
from workflow.tool.base import Effect, Parameters, Tool, ToolContext, ToolResult
from workflow.tool.cut_output import cut_output
from workflow.tool.file_match import noise_besides
from workflow.tool.glob import MAX_PATTERN_CHARS
from workflow.tool.workspace import MAX_PATH_CHARS, file_errors, relative_path

MAX_ENTRIES: Final = 300  # of one answer
_MAX_IGNORED: Final = 100  # globs of one call


class LsParameters(Parameters):
    """Which folder."""

    path: str = Field(
        min_length=1,
        max_length=MAX_PATH_CHARS,
        description="The folder, relative to the workspace or absolute inside it; . for the workspace",
    )
    ignore: tuple[Annotated[str, Field(max_length=MAX_PATTERN_CHARS)], ...] = Field(
        (), max_length=_MAX_IGNORED, description="Globs of what to leave out, for example *.pyc or dist"
    )


class LsTool(Tool[LsParameters]):
    """Lists a folder; folders end with a slash, and those too deep to show with the number of what is in them."""

    name = "ls"
    description = (
        "List a folder as a tree, as deep as fits into the answer. Folders end with /. What is in .git and node_modules"
        " is not shown unless the path names them."
    )
    parameters = LsParameters
    effect = Effect(read_only=True, idempotent=True, destructive=False)
    uses_workspace = True

    async def run(self, params: LsParameters, context: ToolContext) -> ToolResult:
        """Return the tree, at most MAX_ENTRIES lines."""
        sandbox = await context.sandbox()
        folder = await relative_path(sandbox, params.path)
        with file_errors(params.path):
            tree = await sandbox.list_tree(
                folder, ignore=params.ignore, closed=noise_besides(folder), limit=MAX_ENTRIES
            )
        text, _ = cut_output(_text(tree), context.max_output_chars)
        result = LsResult(path=params.path, ignore=params.ignore, result=text)
        return ToolResult(text=text, result={"tool_ls_result": result.model_dump(mode="json")})


def _text(tree: FolderTree) -> str:
    if not tree.entries:
        return "Everything in the folder is left out by ignore." if tree.seen else "The folder is empty."
    lines = [_line(entry, tree.depth) for entry in tree.entries]
    if tree.more:
        lines.append(f"[{tree.more} more entries; use glob or ignore]")
    if not tree.is_complete:
        lines.append(f"[only the first {tree.seen} entries were looked at]")
    return "\n".join(lines)


def _line(entry: TreeEntry, depth: int) -> str:
    level = entry.path.count("/")
    name = "  " * level + entry.path.rpartition("/")[2]
    if not entry.is_dir:
        return name
    if level + 1 < depth:
        return f"{name}/"
    return f"{name}/ ({entry.inside} entries)" if entry.inside else f"{name}/"
