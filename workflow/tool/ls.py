"""ls: what is in a folder, as a tree as deep as fits."""

import asyncio
from collections import Counter
from typing import Final

from pydantic import Field

from shared.contract.result import LsResult
from workflow.service.sandbox.base import FileEntry
from workflow.tool.base import Effect, Parameters, Tool, ToolContext, ToolResult
from workflow.tool.file_match import ancestors, noise_besides, path_matcher
from workflow.tool.workspace import file_errors, relative_path

MAX_ENTRIES: Final = 300  # of one answer
MAX_LISTED: Final = 100_000  # entries looked at


class LsParameters(Parameters):
    """Which folder."""

    path: str = Field(
        min_length=1, description="The folder, relative to the workspace or absolute inside it; . for the workspace"
    )
    ignore: tuple[str, ...] = Field((), description="Globs of what to leave out, for example *.pyc or dist")


class LsTool(Tool[LsParameters]):
    """Lists a folder; folders end with a slash, and those too deep to show with the number of what is in them."""

    name = "ls"
    description = (
        "List a folder as a tree, as deep as fits into the answer. Folders end with /. What is in .git and node_modules"
        " is not shown unless the path names them."
    )
    parameters = LsParameters
    effect = Effect(read_only=True, idempotent=True, destructive=False)

    async def run(self, params: LsParameters, context: ToolContext) -> ToolResult:
        """Return the tree, at most MAX_ENTRIES lines."""
        sandbox = await context.sandbox()
        folder = relative_path(sandbox, params.path)
        with file_errors(params.path):
            entries = await sandbox.list_files(folder, recursive=True, limit=MAX_LISTED)
        text = await asyncio.to_thread(_tree, entries, params.ignore, noise_besides(folder))
        result = LsResult(path=params.path, ignore=params.ignore, result=text)
        return ToolResult(text=text, result={"tool_ls_result": result.model_dump(mode="json")})


def _tree(entries: list[FileEntry], ignore: tuple[str, ...], closed: frozenset[str]) -> str:
    shown = _kept(entries, ignore, closed)
    if not shown:
        return "The folder is empty." if not entries else "Everything in the folder is left out by ignore."
    shown.sort(key=lambda entry: entry.path.split("/"))
    depth = _depth_that_fits(shown)
    within = [entry for entry in shown if entry.path.count("/") < depth]
    inside = Counter(folder for entry in shown for folder in ancestors(entry.path))
    lines = [_line(entry, depth, inside[entry.path]) for entry in within[:MAX_ENTRIES]]
    if len(within) > MAX_ENTRIES:
        lines.append(f"[{len(within) - MAX_ENTRIES} more entries; use glob or ignore]")
    if len(entries) >= MAX_LISTED:
        lines.append(f"[only the first {MAX_LISTED} entries were looked at]")
    return "\n".join(lines)


def _kept(entries: list[FileEntry], ignore: tuple[str, ...], closed: frozenset[str]) -> list[FileEntry]:
    """Return the entries that are neither ignored nor under something ignored or closed."""
    is_ignored = path_matcher(ignore, any_depth=True)
    hidden = {entry.path for entry in entries if is_ignored(entry.path)}
    return [
        entry
        for entry in entries
        if entry.path not in hidden
        and hidden.isdisjoint(above := ancestors(entry.path))
        and closed.isdisjoint(part.rpartition("/")[2] for part in above)
    ]


def _depth_that_fits(entries: list[FileEntry]) -> int:
    deepest = max(entry.path.count("/") for entry in entries) + 1
    counts = [0] * (deepest + 1)
    for entry in entries:
        counts[entry.path.count("/") + 1] += 1
    total, depth = 0, 1
    for level in range(1, deepest + 1):
        total += counts[level]
        if total <= MAX_ENTRIES:
            depth = level
    return depth


def _line(entry: FileEntry, depth: int, inside: int) -> str:
    level = entry.path.count("/")
    name = "  " * level + entry.path.rpartition("/")[2]
    if not entry.is_dir:
        return name
    if level + 1 < depth:
        return f"{name}/"
    return f"{name}/ ({inside} entries)" if inside else f"{name}/"
