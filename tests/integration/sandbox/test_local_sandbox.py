"""Commands run, stream and are confined in the same way with and without namespaces."""

import asyncio

import pytest

from tests.integration.sandbox.conftest import SECRET, LocalSandboxes
from tests.integration.sandbox.processes import eventually, is_running, shell, unique_sleep
from workflow.errors import PathOutsideWorkspaceError, SandboxError
from workflow.service.sandbox.base import Command
from workflow.service.sandbox.local import LocalSandbox


@pytest.fixture
async def sandbox(sandboxes: LocalSandboxes) -> LocalSandbox:
    return await sandboxes.open()


async def test_output_of_both_streams_comes_with_the_exit_code(sandbox: LocalSandbox) -> None:
    result = await sandbox.run(shell("echo one; echo two >&2; exit 3"))
    assert (result.output, result.exit_code, result.timed_out) == ("one\ntwo\n", 3, False)


async def test_output_is_streamed_before_the_command_ends(sandbox: LocalSandbox) -> None:
    seen = asyncio.Event()

    async def answer(text: str) -> None:
        if "ready" in text:
            await sandbox.write_files({"go": b""})
            seen.set()

    result = await sandbox.run(shell("echo ready; until [ -e go ]; do sleep 0.02; done; echo gone"), answer)
    assert seen.is_set()
    assert result.output == "ready\ngone\n"


async def test_a_long_output_is_cut_in_the_middle(sandbox: LocalSandbox) -> None:
    result = await sandbox.run(shell("echo start; head -c 3000000 /dev/zero | tr '\\0' x; echo end"))
    assert result.truncated
    assert len(result.output) < 210_000
    assert result.output.startswith("start\n")
    assert result.output.endswith("xend\n")
    assert "characters cut here" in result.output


async def test_a_failing_reader_of_the_output_stops_the_command(sandbox: LocalSandbox) -> None:
    sleep = unique_sleep()

    async def fail(text: str) -> None:
        raise SandboxError(f"no more after {text.strip()}")

    with pytest.raises(SandboxError, match="no more after a"):
        await sandbox.run(shell(f"echo a; {' '.join(sleep)}"), fail)
    assert await eventually(lambda: not is_running(sleep))


@pytest.mark.parametrize(
    ("command", "exit_code", "says"),
    [
        (Command(argv=["no-such-program"]), 127, "no-such-program"),
        (Command(argv=["ls"], cwd="no/such/folder"), 127, "no/such/folder does not exist"),
        (Command(argv=["ls"], cwd="file"), 127, "not a folder"),
        (Command(argv=["ls", "a\0b"]), 126, "null byte"),
        (Command(argv=["ls"], env={"A": "x\0--bind\0/\0/host"}), 126, "null byte"),
        (Command(argv=["ls"], env={"A=B": "x"}), 126, "environment variable"),
        (Command(argv=["echo", "x" * 3_000_000]), 126, "too long"),
        (Command(argv=["/bin/sh", "-c", "kill -9 $$"]), 137, ""),
    ],
    ids=["no program", "no folder", "file as folder", "null in argv", "null in env", "name", "too long", "signal"],
)
async def test_what_cannot_be_run_is_a_clear_result(
    sandbox: LocalSandbox, command: Command, exit_code: int, says: str
) -> None:
    await sandbox.write_files({"file": b""})
    result = await sandbox.run(command)
    assert result.exit_code == exit_code
    assert says in result.output


@pytest.mark.parametrize("cwd", ["..", "/", "/etc", "out", "out/inner"])
async def test_no_command_starts_outside_the_workspace(sandbox: LocalSandbox, cwd: str) -> None:
    await sandbox.run(shell("ln -s / out"))
    with pytest.raises(PathOutsideWorkspaceError):
        await sandbox.run(Command(argv=["pwd"], cwd=cwd))
    with pytest.raises(PathOutsideWorkspaceError):
        await sandbox.start(Command(argv=["pwd"], cwd=cwd))


@pytest.mark.parametrize("path", ["../x", "/etc/passwd", "out/etc/passwd", "file-out", "dangling", "a\0b"])
async def test_no_file_outside_the_workspace_is_touched(sandbox: LocalSandbox, path: str) -> None:
    await sandbox.run(shell("ln -s / out; ln -s /etc/passwd file-out; ln -s /tmp/new-file dangling"))
    for attempt in (
        sandbox.read_file(path),
        sandbox.write_files({path: b"x"}),
        sandbox.list_files(path, recursive=False),
    ):
        with pytest.raises(PathOutsideWorkspaceError):
            await attempt


async def test_commands_and_file_methods_see_the_same_files(sandbox: LocalSandbox) -> None:
    await sandbox.write_files({"sub/in": b"from outside"})
    result = await sandbox.run(shell('cat in; echo "from inside" > "$PWD/out"; ln -s "$PWD/out" link', cwd="sub"))
    assert result.output == "from outside"
    assert await sandbox.read_file(f"{sandbox.workspace}/sub/link") == b"from inside\n"
    assert (await sandbox.run(Command(argv=["cat", await sandbox.display_path("sub/link")]))).output == "from inside\n"


async def test_a_working_folder_may_have_a_name_that_is_not_utf8(sandbox: LocalSandbox) -> None:
    await sandbox.run(shell("mkdir $'caf\\xe9' && ln -s $'caf\\xe9' link && touch link/inside"))
    assert (await sandbox.run(shell("ls", cwd="link"))).output == "inside\n"


async def test_the_environment_holds_no_secret_of_the_worker(sandboxes: LocalSandboxes) -> None:
    sandbox = await sandboxes.open(env={"ALLOWED": "yes"}, env_allow=("ALLOWED",))
    result = await sandbox.run(shell("env", env={"OWN": "mine"}))
    names = {line.partition("=")[0] for line in result.output.splitlines()}
    assert SECRET not in result.output
    assert {"ALLOWED", "OWN", "PATH", "HOME", "LANG", "TERM", "TMPDIR"} <= names
    assert names - {"ALLOWED", "OWN", "BAUD_COMMAND_ID"} <= {
        "PATH", "HOME", "LANG", "TERM", "TMPDIR", "PWD", "SHLVL", "_",
    }  # fmt: skip


async def test_home_and_temporary_files_last_from_one_command_to_the_next(sandbox: LocalSandbox) -> None:
    await sandbox.run(shell('echo a > "$HOME/kept"; echo b > "$TMPDIR/kept"'))
    assert (await sandbox.run(shell('cat "$HOME/kept" "$TMPDIR/kept"'))).output == "a\nb\n"
    assert await sandbox.list_files("", recursive=True) == []


async def test_no_command_writes_a_file_above_the_limit(sandboxes: LocalSandboxes) -> None:
    sandbox = await sandboxes.open(max_file_bytes=1_048_576)
    result = await sandbox.run(shell("head -c 3000000 /dev/zero > big; stat -c %s big"))
    assert result.output.splitlines()[-1] == "1048576"


async def test_no_process_takes_more_memory_than_allowed(sandboxes: LocalSandboxes) -> None:
    sandbox = await sandboxes.open(memory_bytes=268_435_456)
    result = await sandbox.run(Command(argv=["python3", "-c", "bytearray(400_000_000)"]))
    assert "MemoryError" in result.output


@pytest.mark.parametrize("program", ["python3", "pip"])
async def test_the_tools_of_the_trade_work_inside(sandbox: LocalSandbox, program: str) -> None:
    assert (await sandbox.run(Command(argv=[program, "--version"]))).exit_code == 0


async def test_a_server_is_exposed_once_it_listens(sandbox: LocalSandbox) -> None:
    script = (
        "import http.server, time; time.sleep(0.3); "
        "server = http.server.HTTPServer(('127.0.0.1', 0), http.server.SimpleHTTPRequestHandler); "
        "open('port.tmp', 'w').write(str(server.server_port)); import os; os.rename('port.tmp', 'port'); "
        "server.serve_forever()"
    )
    await sandbox.start(Command(argv=["python3", "-c", script]))
    port = await sandbox.run(shell("until [ -e port ]; do sleep 0.02; done; cat port", timeout_seconds=5))
    info = await sandbox.expose(int(port.output), "app")
    assert info.sandbox_url == f"http://127.0.0.1:{port.output}"
    assert info.app_path == "app"
    assert info.sandbox_id == sandbox.sandbox_id


async def test_a_port_without_a_server_is_a_clear_error(
    sandbox: LocalSandbox, unused_tcp_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workflow.service.sandbox.local._LISTEN_WAIT_SECONDS", 0.2)
    with pytest.raises(SandboxError, match="Start the server first with is_long_running"):
        await sandbox.expose(unused_tcp_port, "")
    with pytest.raises(SandboxError, match="is not a port"):
        await sandbox.expose(70_000, "")


async def test_the_files_are_there_again_after_a_restart(sandboxes: LocalSandboxes) -> None:
    first = await sandboxes.open("thread")
    await first.write_files({"a": b"1"})
    await first.close()
    assert await (await sandboxes.open("thread")).read_file("a") == b"1"
