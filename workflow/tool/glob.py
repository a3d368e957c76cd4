"""glob: files by the pattern of their path, newest first."""

import asyncio
from typing import Final

from pydantic import Field

from shared.contract.result import GlobResult
from workflow.service.sandbox.base import FileEntry
from workflow.tool.base import Effect, Parameters, Tool, ToolContext, ToolResult
from workflow.tool.file_match import noise_besides, path_matcher
from workflow.tool.workspace import file_errors, relative_path

MAX_PATHS: Final = 200  # more than a model can use
MAX_LISTED: Final = 100_000  # entries looked at; a workspace with its dependencies installed stays below


class GlobParameters(Parameters):
    """Which paths."""

    pattern: str = Field(
        min_length=1, description="Glob with *, ?, [a-z], {a,b} and ** for any folders, for example src/**/*.py"
    )
    path: str | None = Field(None, description="Folder to look in; the workspace if left out")


class GlobTool(Tool[GlobParameters]):
    """Finds files by name; what is found is given relative to the workspace."""

    name = "glob"
    description = (
        "Find files by a pattern of their path, newest first. *.py looks in the folder itself, **/*.py in all folders"
        " under it. .git and node_modules are left out unless the pattern or the path names them."
    )
    parameters = GlobParameters
    effect = Effect(read_only=True, idempotent=True, destructive=False)

    async def run(self, params: GlobParameters, context: ToolContext) -> ToolResult:
        """Return the paths, at most MAX_PATHS of them."""
        sandbox = await context.sandbox()
        folder = relative_path(sandbox, params.path or ".")
        with file_errors(params.path or "."):
            entries = await sandbox.list_files(folder, recursive=True, limit=MAX_LISTED)
        pattern = params.pattern.removeprefix(sandbox.workspace + "/").removeprefix("./")
        found = await asyncio.to_thread(_matching, entries, pattern, noise_besides(folder, pattern))
        text = _answer([path if folder == "." else f"{folder}/{path}" for path in found], len(entries), pattern)
        result = GlobResult(pattern=params.pattern, path=params.path or ".", result=text)
        return ToolResult(text=text, result={"tool_glob_result": result.model_dump(mode="json")})


def _matching(entries: list[FileEntry], pattern: str, left_out: frozenset[str]) -> list[str]:
    matches = path_matcher([pattern])
    found = [
        entry
        for entry in entries
        if not entry.is_dir and matches(entry.path) and left_out.isdisjoint(entry.path.split("/"))
    ]
    return [entry.path for entry in sorted(found, key=lambda entry: (-entry.modified_at, entry.path))]


def _answer(paths: list[str], listed: int, pattern: str) -> str:
    lines = paths[:MAX_PATHS]
    if not paths:
        hint = "" if "/" in pattern or "**" in pattern else f" Use **/{pattern} to look in all folders."
        lines.append(f"No files match {pattern}.{hint}")
    if len(paths) > MAX_PATHS:
        lines.append(f"[{len(paths) - MAX_PATHS} more files; narrow the pattern]")
    if listed >= MAX_LISTED:
        lines.append(f"[only the first {MAX_LISTED} entries were looked at; give a path]")
    return "\n".join(lines)
