"""Processes of a local sandbox: ended with their command, run in the background, and from a loop of any thread."""

import asyncio
import os
from collections.abc import Callable, Coroutine
from pathlib import Path

import pytest
import uvloop

from tests.integration.sandbox.conftest import LocalSandboxes
from tests.integration.sandbox.processes import eventually, is_running, shell, unique_sleep
from workflow.errors import PathOutsideWorkspaceError, SandboxError
from workflow.service.sandbox.base import Command
from workflow.service.sandbox.local import LocalSandbox


@pytest.fixture
async def sandbox(sandboxes: LocalSandboxes) -> LocalSandbox:
    return await sandboxes.open()


@pytest.mark.parametrize(
    "script",
    [
        "{}",
        "{} & wait",
        "setsid {}; sleep 100",
        "setsid {} & sleep 100",
        "(setsid setsid {} &) ; sleep 100",
        "trap '' TERM; {} & while :; do sleep 1; done",
        "nohup {} >/dev/null 2>&1 & disown; sleep 100",
    ],
    ids=["child", "job", "session", "session job", "daemon", "ignores TERM", "nohup"],
)
async def test_a_time_limit_ends_everything_that_was_started(sandbox: LocalSandbox, script: str) -> None:
    sleep = unique_sleep()
    result = await sandbox.run(shell(f"echo begun; {script.format(' '.join(sleep))}", timeout_seconds=0.7))
    assert (result.output, result.exit_code, result.timed_out) == ("begun\n", None, True)
    assert await eventually(lambda: not is_running(sleep))


async def test_a_command_at_its_limit_may_end_by_itself_first(sandbox: LocalSandbox) -> None:
    script = "trap 'echo tidied up; exit' TERM; echo begun; while :; do sleep 0.05; done"
    result = await sandbox.run(shell(script, timeout_seconds=0.5))
    assert result.timed_out
    assert result.output.startswith("begun\n")
    assert result.output.endswith("tidied up\n")


async def test_a_cancelled_run_leaves_no_process(sandbox: LocalSandbox) -> None:
    sleep = unique_sleep()
    running = asyncio.create_task(sandbox.run(shell(f"setsid {' '.join(sleep)} & {' '.join(sleep)}")))
    assert await eventually(lambda: is_running(sleep))
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert await eventually(lambda: not is_running(sleep))


async def test_a_run_cancelled_twice_still_leaves_no_process(sandbox: LocalSandbox) -> None:
    sleep = unique_sleep()
    running = asyncio.create_task(sandbox.run(shell(f"trap '' TERM; {' '.join(sleep)} & while :; do sleep 1; done")))
    assert await eventually(lambda: is_running(sleep))
    running.cancel()
    await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert await eventually(lambda: not is_running(sleep))


async def test_a_child_that_holds_the_output_open_does_not_hold_up_the_end(sandbox: LocalSandbox) -> None:
    sleep = unique_sleep()
    result = await sandbox.run(shell(f"{' '.join(sleep)} & setsid {' '.join(sleep)} & echo done"))
    assert (result.output, result.exit_code, result.timed_out) == ("done\n", 0, False)
    assert await eventually(lambda: not is_running(sleep))


async def test_a_background_process_goes_on_and_writes_a_readable_log(sandbox: LocalSandbox) -> None:
    sleep = unique_sleep()
    process = await sandbox.start(shell(f"echo up; exec {' '.join(sleep)}"))
    assert process.exit_code is None
    assert process.pid > 0
    assert await sandbox.read_file(process.log_path) == b"up\n"
    assert is_running(sleep)
    await sandbox.close()
    assert await eventually(lambda: not is_running(sleep))


async def test_a_background_process_that_fails_at_once_says_so(sandbox: LocalSandbox) -> None:
    process = await sandbox.start(shell("echo wrong option; exit 4"))
    assert process.exit_code == 4
    log = (await sandbox.read_file(process.log_path)).decode()
    assert log == "wrong option\n\n[the process ended with exit code 4]\n"


async def test_a_command_can_stop_a_background_process(sandbox: LocalSandbox) -> None:
    sleep = unique_sleep()
    process = await sandbox.start(shell(f"setsid {' '.join(sleep)} & wait"))
    assert await eventually(lambda: is_running(sleep))
    assert (await sandbox.run(shell(process.stop_command))).exit_code == 0
    assert await eventually(lambda: not is_running(sleep))


async def test_a_log_folder_turned_into_a_link_leads_nowhere(sandbox: LocalSandbox, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    await sandbox.run(Command(argv=["ln", "-s", str(outside), ".baud"]))
    with pytest.raises(PathOutsideWorkspaceError):
        await sandbox.start(shell("echo x"))
    assert os.listdir(outside) == []


async def test_a_background_command_that_cannot_start_is_an_error(sandbox: LocalSandbox) -> None:
    with pytest.raises(SandboxError, match="does not exist"):
        await sandbox.start(Command(argv=["ls"], cwd="no-such-folder"))
    with pytest.raises(SandboxError, match="null byte"):
        await sandbox.start(Command(argv=["ls", "a\0"]))


async def test_closing_ends_a_running_command_and_later_calls_say_so(sandbox: LocalSandbox) -> None:
    sleep = unique_sleep()
    running = asyncio.create_task(sandbox.run(shell(" ".join(sleep))))
    assert await eventually(lambda: is_running(sleep))
    assert sandbox.idle_seconds() == 0.0
    await sandbox.close()
    assert (await running).exit_code not in (0, None)
    assert not is_running(sleep)
    with pytest.raises(SandboxError, match="was stopped"):
        await sandbox.run(shell("true"))


async def test_no_descriptor_is_left_open(sandbox: LocalSandbox) -> None:
    await sandbox.run(shell("true"))
    await sandbox.write_files({"x": b""})
    before = len(os.listdir("/proc/self/fd"))
    for command in (
        shell("true"),
        Command(argv=["nope"]),
        Command(argv=["a\0"]),
        shell("sleep 9", timeout_seconds=0.1),
    ):
        await sandbox.run(command)
        await sandbox.write_files({"x": b""})
        await sandbox.read_file("x")
    await sandbox.start(shell("true"))
    assert len(os.listdir("/proc/self/fd")) == before


_OWN_DESCRIPTORS = "import os; print(sorted(int(n) for n in os.listdir('/proc/self/fd'))[:-1])"


async def _list_descriptors(sandboxes: LocalSandboxes) -> list[str]:
    """Return what commands inherit beside three standard descriptors and the folder that is listed."""
    sandbox = await sandboxes.open("of-the-loop")
    command = Command(argv=["python3", "-c", _OWN_DESCRIPTORS])
    seen = [(await sandbox.run(command)).output]
    script = f'python3 -c "{_OWN_DESCRIPTORS}" | tee listed; sleep 9'
    await sandbox.start(Command(argv=["bash", "-c", script]))
    seen.append((await sandbox.run(shell("until [ -s listed ]; do sleep 0.02; done; cat listed"))).output)
    await sandbox.close()
    return seen


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
async def test_a_command_inherits_no_descriptor_of_the_worker(
    sandboxes: LocalSandboxes, tmp_path: Path, run: Callable[[Coroutine[None, None, list[str]]], list[str]]
) -> None:
    kept_open = os.open(tmp_path, os.O_RDONLY)
    os.set_inheritable(kept_open, True)
    seen = await asyncio.to_thread(lambda: run(_list_descriptors(sandboxes)))
    os.close(kept_open)
    assert seen == ["[0, 1, 2]\n", "[0, 1, 2]\n"]


async def _use_everything(sandboxes: LocalSandboxes) -> None:
    """Run, stream, time out and go on in the background, on the loop that runs this."""
    sandbox = await sandboxes.open("of-the-loop")
    pieces: list[str] = []

    async def take(text: str) -> None:
        pieces.append(text)

    sleep = unique_sleep()
    result = await sandbox.run(shell(f"echo begun; setsid {' '.join(sleep)} & sleep 100", timeout_seconds=0.5), take)
    assert (result.output, result.timed_out, pieces) == ("begun\n", True, ["begun\n"])
    assert await eventually(lambda: not is_running(sleep))
    assert "null byte" in (await sandbox.run(Command(argv=["echo", "a\0b"]))).output
    assert (await sandbox.start(shell("exit 4"))).exit_code == 4
    await sandbox.close()


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
async def test_commands_run_on_a_loop_of_another_thread(
    sandboxes: LocalSandboxes, run: Callable[[Coroutine[None, None, None]], None]
) -> None:
    await asyncio.to_thread(lambda: run(_use_everything(sandboxes)))
