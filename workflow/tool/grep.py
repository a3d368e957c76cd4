"""grep: lines that match a regular expression, found by ripgrep, or by grep where there is no ripgrep."""

import re
from typing import Final

from pydantic import Field

from shared.contract.result import GrepResult
from workflow.errors import ToolError
from workflow.service.sandbox.base import Command, CommandResult, Sandbox
from workflow.tool.base import Effect, Parameters, Tool, ToolContext, ToolResult
from workflow.tool.file_match import noise_besides
from workflow.tool.workspace import MAX_PATH_CHARS, relative_path, require_path

MAX_MATCHES: Final = 250  # more than a model can use; it should narrow the search instead
MAX_LINE_CHARS: Final = 300  # of one match: the place matters, not all of a minified line
_NO_MATCH: Final = 1
_MATCH: Final = re.compile(
    r".+?:[0-9]+:"
)  # an engine that could not read some files exits with an error, but prints matches
_NOT_FOUND: Final = 127  # exit code of a missing program
_KILL_SECONDS: Final = 2.0  # kept back from the tool's own limit, so that a late search can be ended cleanly


class GrepParameters(Parameters):
    """What to look for and where."""

    pattern: str = Field(
        min_length=1,
        max_length=1000,
        description="Regular expression; write [0-9] rather than \\d, which not every engine has",
    )
    path: str | None = Field(
        None, max_length=MAX_PATH_CHARS, description="File or folder to search; the workspace if left out"
    )
    include: str | None = Field(
        None, min_length=1, max_length=1000, description="Only files whose name matches this glob, for example *.py"
    )


class GrepTool(Tool[GrepParameters]):
    """Searches file contents; finding nothing is an answer, not an error."""

    name = "grep"
    description = (
        "Search the contents of files for a regular expression. Returns path:line number:line. .git, node_modules and"
        " files that .gitignore names are left out."
    )
    parameters = GrepParameters
    effect = Effect(read_only=True, idempotent=True, destructive=False)
    uses_workspace = True

    async def run(self, params: GrepParameters, context: ToolContext) -> ToolResult:
        """Return the matching lines, at most MAX_MATCHES of them."""
        sandbox = await context.sandbox()
        target = await relative_path(sandbox, params.path or ".")
        await require_path(sandbox, target)
        found = await _search(sandbox, params, target, context.timeout_seconds)
        text = _matches(found)
        result = GrepResult(pattern=params.pattern, path=params.path or ".", result=text)
        return ToolResult(text=text, result={"tool_grep_result": result.model_dump(mode="json")})


async def _search(sandbox: Sandbox, params: GrepParameters, target: str, limit: float) -> CommandResult:
    seconds = limit - min(_KILL_SECONDS, limit / 5)
    noise = sorted(noise_besides(target))
    for argv in (_ripgrep(params, target, noise), _grep(params, target, noise)):
        result = await sandbox.run(Command(argv, timeout_seconds=seconds))
        if result.exit_code != _NOT_FOUND:
            return result
    raise ToolError("The sandbox has neither rg nor grep. Read the files with file_read instead.")


def _ripgrep(params: GrepParameters, target: str, noise: list[str]) -> tuple[str, ...]:
    """Ignore what the workspace's own .gitignore names, with a repository or without, and no file above it."""
    include = (f"--glob={params.include}",) if params.include else ()
    return (
        *("rg", "--no-config", "--no-messages", "--color=never", "--no-heading", "--with-filename", "--line-number"),
        *("--no-ignore-parent", "--no-ignore-messages", "--ignore-file=.gitignore"),
        *("--hidden", f"--max-columns={MAX_LINE_CHARS}", "--max-columns-preview", "--sort=path"),
        *include,
        *(f"--glob=!{name}" for name in noise),
        *("-e", params.pattern, "--", target),
    )


def _grep(params: GrepParameters, target: str, noise: list[str]) -> tuple[str, ...]:
    include = (f"--include={params.include}",) if params.include else ()
    return (
        *("grep", "-rnEIHs", "--color=never"),
        *include,
        *(f"--exclude-dir={name}" for name in noise),
        *("-e", params.pattern, "--", target),
    )


def _matches(found: CommandResult) -> str:
    if found.timed_out:
        raise ToolError("The search took too long. Give a narrower path, an include glob or a simpler pattern.")
    output = found.output.strip("\n")
    if found.exit_code == _NO_MATCH or not output:
        return "No matches."
    if found.exit_code != 0 and not _MATCH.match(output):
        raise ToolError(f"The pattern cannot be used: {output[:1000]}")
    lines = [_cut_line(line.removeprefix("./").removesuffix("\r")) for line in output.split("\n")]
    if len(lines) > MAX_MATCHES or found.truncated:
        lines = [*lines[:MAX_MATCHES], f"[more matches than the {MAX_MATCHES} shown; narrow the search]"]
    return "\n".join(lines)


def _cut_line(line: str) -> str:
    return line if len(line) <= MAX_LINE_CHARS * 2 else f"{line[: MAX_LINE_CHARS * 2]} [line cut]"
