"""bash: how commands are run, shown and limited."""

from typing import Any

import pytest
from pydantic import ValidationError

from tests.fakes.fake_sandbox import CommandReply, FakeSandbox, prints
from tests.fakes.fake_tool_context import FakeToolContext, member
from workflow.errors import ToolError
from workflow.service.sandbox.base import BackgroundProcess, Command
from workflow.tool.bash import BashTool
from workflow.tool.streamed_output import LIVE_OUTPUT_CHARS, StreamedOutput


class DyingSandbox(FakeSandbox):
    """A sandbox in which every background command ends at once."""

    async def start(self, command: Command) -> BackgroundProcess:
        await super().start(command)
        return BackgroundProcess(pid=7, log_path=".baud/logs/1.log", exit_code=3)


async def test_command_text_reaches_bash_as_one_argument() -> None:
    sandbox = FakeSandbox(replies=[prints("hello\n")])
    result = await FakeToolContext(sandbox).call(BashTool(), cmd="echo 'hello'; true", env={"A": "1"})
    assert sandbox.commands == [Command(("bash", "-c", "echo 'hello'; true"), "/workspace", {"A": "1"}, 120.0)]
    assert result.text == "hello\n\nExit code: 0"
    assert not result.is_error
    assert member(result, "tool_bash_result") == {
        "cmd": "echo 'hello'; true",
        "cwd": "/workspace",
        "result": "hello\n",
        "exit_code": 0,
        "truncated": False,
    }


async def test_non_zero_exit_is_an_error_with_output_and_code() -> None:
    sandbox = FakeSandbox(replies=[prints("no such file\n", exit_code=2)])
    result = await FakeToolContext(sandbox).call(BashTool(), cmd="ls x")
    assert result.is_error
    assert result.text == "no such file\n\nExit code: 2"
    assert member(result, "tool_bash_result")["exit_code"] == 2


async def test_timeout_is_an_error_that_names_the_limit() -> None:
    sandbox = FakeSandbox(replies=[CommandReply(pieces=("half",), timed_out=True)])
    result = await FakeToolContext(sandbox).call(BashTool(), cmd="sleep 9", timeout=1.5)
    assert result.is_error
    assert "half" in result.text
    assert "ended after 1.5 s" in result.text
    assert "exit_code" not in member(result, "tool_bash_result")


@pytest.mark.parametrize(
    ("wanted", "tool_limit", "given"),
    [(None, 605.0, 120.0), (30, 605.0, 30.0), (9999, 605.0, 600.0), (None, 10.0, 8.0), (9999, 65.0, 60.0)],
    ids=["default", "as asked", "capped", "default above the configured limit", "configured limit"],
)
async def test_time_limit_stays_below_that_of_the_tool(wanted: float | None, tool_limit: float, given: float) -> None:
    sandbox = FakeSandbox(replies=[prints()])
    await FakeToolContext(sandbox, timeout_seconds=tool_limit).call(BashTool(), cmd="true", timeout=wanted)
    assert sandbox.commands[0].timeout_seconds == given


async def test_output_is_shown_as_it_comes() -> None:
    context = FakeToolContext(FakeSandbox(replies=[prints("one\n", "two\n")]))
    await context.call(BashTool(), cmd="count")
    shown = [piece["tool_bash_result"] for piece in context.progress]
    assert [piece["result"] for piece in shown] == ["one\n", "two\n"]
    assert all(piece["cmd"] == "count" and "exit_code" not in piece for piece in shown)


async def test_endless_output_stops_being_shown() -> None:
    pieces = ["x" * 50_000] * 10
    context = FakeToolContext(FakeSandbox(replies=[prints(*pieces)]))
    await context.call(BashTool(), cmd="yes")
    streamed = StreamedOutput(BashTool.streamed_field)
    sent: list[Any] = [piece for piece in map(streamed.piece, context.progress) if piece is not None]
    shown = "".join(piece["tool_bash_result"]["result"] for piece in sent)
    assert shown == "x" * LIVE_OUTPUT_CHARS + "\n[further output is not shown as it comes]\n"


async def test_long_output_keeps_both_ends_and_the_exit_code() -> None:
    sandbox = FakeSandbox(replies=[prints("begin", "x" * 5000, "end", exit_code=1)])
    result = await FakeToolContext(sandbox, max_output_chars=1000).call(BashTool(), cmd="make")
    assert len(result.text) <= 1000
    assert result.text.startswith("begin")
    assert result.text.endswith("end\n\nExit code: 1")
    assert member(result, "tool_bash_result")["truncated"] is True


async def test_sh_is_used_where_there_is_no_bash() -> None:
    def answer(command: Command) -> CommandReply:
        return prints("not found", exit_code=127) if command.argv[0] == "bash" else prints("from sh")

    sandbox = FakeSandbox(answer=answer)
    result = await FakeToolContext(sandbox).call(BashTool(), cmd="echo")
    assert result.text.startswith("from sh")
    assert list(sandbox.commands[-1].argv) == ["sh", "-c", "echo"]


async def test_unknown_program_is_not_run_a_second_time() -> None:
    sandbox = FakeSandbox(replies=[prints("nosuch: command not found", exit_code=127), prints()])
    result = await FakeToolContext(sandbox).call(BashTool(), cmd="nosuch")
    assert result.text.endswith("Exit code: 127")
    assert [list(command.argv)[-1] for command in sandbox.commands] == ["nosuch", ":"]


async def test_long_running_command_answers_with_its_log() -> None:
    sandbox = FakeSandbox()
    result = await FakeToolContext(sandbox).call(BashTool(), cmd="serve", is_long_running=True)
    assert list(sandbox.started[0].argv) == ["bash", "-c", "serve"]
    assert "process id 1001" in result.text
    assert ".baud/logs/1.log" in result.text
    assert not result.is_error


async def test_long_running_command_that_ends_at_once_is_an_error() -> None:
    result = await FakeToolContext(DyingSandbox()).call(BashTool(), cmd="serve", is_long_running=True)
    assert result.is_error
    assert "exit code 3" in result.text


@pytest.mark.parametrize("is_long_running", [False, True])
async def test_folder_outside_the_workspace_is_refused(is_long_running: bool) -> None:
    sandbox = FakeSandbox()
    with pytest.raises(ToolError, match="outside the workspace"):
        await FakeToolContext(sandbox).call(BashTool(), cmd="ls", cwd="../x", is_long_running=is_long_running)
    assert not sandbox.commands


@pytest.mark.parametrize("arguments", [{"cmd": ""}, {"cmd": "x", "timeout": 0}, {"cmd": "x", "shell": "zsh"}])
def test_bad_arguments_are_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        BashTool.parameters.model_validate(arguments)
