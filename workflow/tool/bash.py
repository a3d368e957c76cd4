"""bash: one shell command in the sandbox, to its end or in the background, its output shown as it comes."""

from typing import Final

from pydantic import Field, JsonValue

from shared.contract.result import BashResult
from workflow.service.sandbox.base import BackgroundProcess, Command, CommandResult, OutputSink, Sandbox
from workflow.tool.base import Effect, Parameters, Tool, ToolContext, ToolResult
from workflow.tool.cut_output import cut_output
from workflow.tool.workspace import file_errors

DEFAULT_TIMEOUT_SECONDS: Final = 120.0
MAX_TIMEOUT_SECONDS: Final = 600.0
SHOWN_COMMAND_CHARS: Final = 2000  # the command is repeated in the event of every piece of output
_KILL_SECONDS: Final = 5.0  # kept back from the tool's own limit, so that a late command can be ended cleanly
_FRAME_CHARS: Final = 200  # for the text around the output, so that the result fits the limit
_NOT_FOUND: Final = 127  # exit code of a missing program


class BashParameters(Parameters):
    """The command and how to run it."""

    cmd: str = Field(min_length=1, description="The command, as it would be typed into bash")
    cwd: str | None = Field(None, description="Folder to run it in; the workspace if left out")
    timeout: float | None = Field(
        None, gt=0, description="Seconds after which it is ended; 120 if left out, 600 at most: more is taken as 600"
    )
    env: dict[str, str] | None = Field(None, description="Environment variables to add")
    is_long_running: bool = Field(
        False, description="Start it in the background and return at once, without a time limit: for servers"
    )


class BashTool(Tool[BashParameters]):
    """Runs shell commands; a non-zero exit code is an error that the model reads."""

    name = "bash"
    description = (
        "Run a command with bash in the sandbox. Each call is a new shell in the workspace: `cd` and variables do not"
        " last. Nothing can be typed in while it runs. Start servers with is_long_running."
    )
    parameters = BashParameters
    effect = Effect(read_only=False, idempotent=False, destructive=True, open_world=True)
    keeps_processes = True
    streamed_field = "result"
    timeout_seconds = MAX_TIMEOUT_SECONDS + _KILL_SECONDS

    async def run(self, params: BashParameters, context: ToolContext) -> ToolResult:
        """Return the output and the exit code, or how to follow a background command."""
        sandbox = await context.sandbox()
        with file_errors(params.cwd or "."):
            cwd = await sandbox.display_path(params.cwd or ".")
        if params.is_long_running:
            return await _start(sandbox, params, cwd)
        limit = _limit_seconds(params.timeout, context.timeout_seconds)
        result = await _run_in_shell(sandbox, _command(params, cwd, limit), _live_output(params.cmd, cwd, context))
        return _finished(params.cmd, cwd, result, limit, context.max_output_chars)


def _limit_seconds(wanted: float | None, most: float) -> float:
    most -= min(_KILL_SECONDS, most / 5)
    return min(wanted or DEFAULT_TIMEOUT_SECONDS, most)


def _command(params: BashParameters, cwd: str, timeout_seconds: float = MAX_TIMEOUT_SECONDS) -> Command:
    return Command(("bash", "-c", params.cmd), cwd=cwd, env=params.env or {}, timeout_seconds=timeout_seconds)


async def _has_bash(sandbox: Sandbox) -> bool:
    probe = await sandbox.run(Command(("bash", "-c", ":"), timeout_seconds=_KILL_SECONDS))
    return probe.exit_code != _NOT_FOUND


async def _run_in_shell(sandbox: Sandbox, command: Command, on_output: OutputSink) -> CommandResult:
    """Run with bash, or with sh where there is no bash; only then has the first try run nothing."""
    result = await sandbox.run(command, on_output)
    if result.exit_code != _NOT_FOUND or await _has_bash(sandbox):
        return result
    return await sandbox.run(_with_sh(command), on_output)


def _with_sh(command: Command) -> Command:
    return Command(("sh", *command.argv[1:]), command.cwd, command.env, command.timeout_seconds)


def _result(
    cmd: str, cwd: str, text: str, exit_code: int | None = None, truncated: bool = False
) -> dict[str, JsonValue]:
    shown, _ = cut_output(cmd, SHOWN_COMMAND_CHARS)
    result = BashResult(cmd=shown, cwd=cwd, result=text, exit_code=exit_code, truncated=truncated)
    return {"tool_bash_result": result.model_dump(mode="json", exclude_none=True)}


def _live_output(cmd: str, cwd: str, context: ToolContext) -> OutputSink:
    async def show(piece: str) -> None:
        await context.progress(_result(cmd, cwd, piece))

    return show


def _finished(cmd: str, cwd: str, result: CommandResult, limit: float, max_chars: int) -> ToolResult:
    output, is_cut = cut_output(result.output, max(_FRAME_CHARS, max_chars - _FRAME_CHARS))
    if result.timed_out:
        end = f"The command was ended after {limit:g} s, its time limit. Give a longer timeout or use is_long_running."
    elif result.exit_code is None:
        end = "The command was killed."
    else:
        end = f"Exit code: {result.exit_code}"
    return ToolResult(
        text=f"{output.rstrip() or '(no output)'}\n\n{end}",
        result=_result(cmd, cwd, output, result.exit_code, result.truncated or is_cut),
        is_error=result.timed_out or result.exit_code != 0,
    )


async def _start(sandbox: Sandbox, params: BashParameters, cwd: str) -> ToolResult:
    command = _command(params, cwd)
    process = await sandbox.start(command)
    if process.exit_code == _NOT_FOUND and not await _has_bash(sandbox):
        process = await sandbox.start(_with_sh(command))
    text = _started(process)
    failed = process.exit_code not in (None, 0)
    return ToolResult(text=text, result=_result(params.cmd, cwd, text, process.exit_code), is_error=failed)


def _started(process: BackgroundProcess) -> str:
    if process.exit_code is not None:
        return f"It ended at once with exit code {process.exit_code}. Its output is in {process.log_path}: read that."
    stop = f" To stop it, run: {process.stop_command}" if process.stop_command else ""
    return (
        f"Started in the background with process id {process.pid}. Its output goes to {process.log_path}:"
        f" read that with file_read to see whether it came up.{stop}"
    )
