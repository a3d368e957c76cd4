"""glob: files by the pattern of their path, newest first."""

from typing import Final

from pydantic import Field

from shared.contract.result import GlobResult
from workflow.service.sandbox.base import FoundFiles
from workflow.tool.base import Effect, Parameters, Tool, ToolContext, ToolResult
from workflow.tool.file_match import noise_besides
from workflow.tool.workspace import MAX_PATH_CHARS, file_errors, relative_path

MAX_PATHS: Final = 200  # more than a model can use
MAX_PATTERN_CHARS: Final = 1000


class GlobParameters(Parameters):
    """Which paths."""

    pattern: str = Field(
        min_length=1,
        max_length=MAX_PATTERN_CHARS,
        description="Glob with *, ?, [a-z], {a,b} and ** for any folders, for example src/**/*.py",
    )
    path: str | None = Field(
        None, max_length=MAX_PATH_CHARS, description="Folder to look in; the workspace if left out"
    )


class GlobTool(Tool[GlobParameters]):
    """Finds files by name; what is found is given relative to the workspace."""

    name = "glob"
    description = (
        "Find files by a pattern of their path, newest first. *.py looks in the folder itself, **/*.py in all folders"
        " under it. .git and node_modules are left out unless the pattern or the path names them."
    )
    parameters = GlobParameters
    effect = Effect(read_only=True, idempotent=True, destructive=False)
    uses_workspace = True

    async def run(self, params: GlobParameters, context: ToolContext) -> ToolResult:
        """Return the paths, at most MAX_PATHS of them."""
        sandbox = await context.sandbox()
        folder = await relative_path(sandbox, params.path or ".")
        pattern = params.pattern.removeprefix(sandbox.workspace + "/").removeprefix("./")
        with file_errors(params.path or "."):
            found = await sandbox.find_files(folder, pattern, leave_out=noise_besides(folder, pattern), limit=MAX_PATHS)
        text = _answer(found, "" if folder == "." else f"{folder}/", pattern)
        result = GlobResult(pattern=params.pattern, path=params.path or ".", result=text)
        return ToolResult(text=text, result={"tool_glob_result": result.model_dump(mode="json")})


def _answer(found: FoundFiles, prefix: str, pattern: str) -> str:
    lines = [prefix + path for path in found.paths]
    if not lines:
        hint = "" if "/" in pattern or "**" in pattern else f" Use **/{pattern} to look in all folders."
        lines.append(f"No files match {pattern}.{hint}")
    if found.count > len(found.paths):
        lines.append(f"[{found.count - len(found.paths)} more files; narrow the pattern]")
    if not found.is_complete:
        lines.append("[there are too many entries to look at all of them; give a path]")
    return "\n".join(lines)
