"""What every Sandbox does alike: the in-memory fake, processes, namespaces."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from shared.config import IsolationKind
from tests.fakes.fake_sandbox import CommandReply, FakeSandbox, prints
from tests.integration.sandbox.conftest import LocalSandboxes
from workflow.errors import PathOutsideWorkspaceError, SandboxError
from workflow.service.sandbox.base import Command, Sandbox

HELLO = Command(argv=["sh", "-c", "echo hello; exit 3"])
SLOW = Command(argv=["sh", "-c", "echo begun; sleep 30"], timeout_seconds=0.3)
WRITES = Command(argv=["sh", "-c", "printf made > made.txt"])
ENDLESS = Command(argv=["sh", "-c", "sleep 30"])


def play(command: Command) -> CommandReply:
    """What the commands of this file do, for the fake."""
    replies = {
        HELLO.argv[2]: prints("hello\n", exit_code=3),
        SLOW.argv[2]: CommandReply(pieces=("begun\n",), timed_out=True),
        WRITES.argv[2]: CommandReply(files={"made.txt": b"made"}),
        ENDLESS.argv[2]: CommandReply(until=asyncio.Event()),
    }
    return replies[command.argv[2]]


@pytest.fixture(params=["fake", IsolationKind.PROCESS, IsolationKind.BUBBLEWRAP])
async def sandbox(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Sandbox]:
    async with AsyncExitStack() as stack:
        if request.param == "fake":
            yield FakeSandbox(answer=play)
        else:
            yield await LocalSandboxes(tmp_path, request.param, stack).open()


async def test_a_written_file_is_read_back(sandbox: Sandbox) -> None:
    await sandbox.write_files({"a.txt": b"one", f"{sandbox.workspace}/sub/b.txt": b"\x00\xff"})
    assert await sandbox.read_file("sub/../a.txt") == b"one"
    assert await sandbox.read_file("sub/b.txt") == b"\x00\xff"
    assert await sandbox.read_file("a.txt", 2) == b"on"
    await sandbox.write_files({"a.txt": b""})
    assert await sandbox.read_file(await sandbox.display_path("a.txt")) == b""


async def test_entries_are_listed_by_path_with_folders_marked(sandbox: Sandbox) -> None:
    await sandbox.write_files({"b/c/d.txt": b"123", "b/a.txt": b"", "a.txt": b"1"})
    flat = await sandbox.list_files("", recursive=False)
    assert [(entry.path, entry.is_dir) for entry in flat] == [("a.txt", False), ("b", True)]
    below = await sandbox.list_files("b", recursive=True)
    assert [entry.path for entry in below] == ["a.txt", "c", "c/d.txt"]
    assert below[2].size_bytes == 3
    assert len(await sandbox.list_files("", recursive=True, limit=2)) == 2


@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("../x", PathOutsideWorkspaceError),
        ("/etc/passwd", PathOutsideWorkspaceError),
        ("a\0b", PathOutsideWorkspaceError),
        ("absent", FileNotFoundError),
        ("absent/x", FileNotFoundError),
        ("file/x", NotADirectoryError),
        ("folder", IsADirectoryError),
        ("", IsADirectoryError),
    ],
)
async def test_a_path_that_cannot_be_read_says_why(sandbox: Sandbox, path: str, error: type[Exception]) -> None:
    await sandbox.write_files({"file": b"x", "folder/x": b"x"})
    with pytest.raises(error):
        await sandbox.read_file(path)


@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("../x", PathOutsideWorkspaceError),
        ("file/x", NotADirectoryError),
        ("folder", IsADirectoryError),
        ("", IsADirectoryError),
    ],
)
async def test_a_path_that_cannot_be_written_keeps_all_from_being_written(
    sandbox: Sandbox, path: str, error: type[Exception]
) -> None:
    await sandbox.write_files({"file": b"x", "folder/x": b"x"})
    with pytest.raises(error):
        await sandbox.write_files({"first": b"x", path: b"x"})
    with pytest.raises(FileNotFoundError):
        await sandbox.read_file("first")


@pytest.mark.parametrize(
    ("path", "error"),
    [("../x", PathOutsideWorkspaceError), ("absent", FileNotFoundError), ("file", NotADirectoryError)],
)
async def test_a_path_that_cannot_be_listed_says_why(sandbox: Sandbox, path: str, error: type[Exception]) -> None:
    await sandbox.write_files({"file": b"x"})
    with pytest.raises(error):
        await sandbox.list_files(path, recursive=True)


async def test_paths_are_displayed_inside_the_workspace(sandbox: Sandbox) -> None:
    assert await sandbox.display_path("") == sandbox.workspace
    assert await sandbox.display_path("a/./b/../c") == f"{sandbox.workspace}/a/c"
    with pytest.raises(PathOutsideWorkspaceError):
        await sandbox.display_path("/etc")


async def test_a_command_gives_output_and_exit_code(sandbox: Sandbox) -> None:
    pieces: list[str] = []

    async def take(text: str) -> None:
        pieces.append(text)

    result = await sandbox.run(HELLO, take)
    assert (result.output, result.exit_code, result.timed_out, result.truncated) == ("hello\n", 3, False, False)
    assert "".join(pieces) == "hello\n"


async def test_a_command_over_its_time_limit_has_no_exit_code(sandbox: Sandbox) -> None:
    result = await sandbox.run(SLOW)
    assert (result.output, result.exit_code, result.timed_out) == ("begun\n", None, True)


async def test_a_command_can_be_cancelled(sandbox: Sandbox) -> None:
    running = asyncio.create_task(sandbox.run(ENDLESS))
    await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_a_commands_files_are_seen_by_file_methods(sandbox: Sandbox) -> None:
    assert (await sandbox.run(WRITES)).exit_code == 0
    assert await sandbox.read_file("made.txt") == b"made"


async def test_a_missing_working_folder_is_exit_code_127(sandbox: Sandbox) -> None:
    result = await sandbox.run(Command(argv=HELLO.argv, cwd="absent"))
    assert result.exit_code == 127
    assert "absent" in result.output
    with pytest.raises(SandboxError, match="absent"):
        await sandbox.start(Command(argv=HELLO.argv, cwd="absent"))
    with pytest.raises(PathOutsideWorkspaceError):
        await sandbox.run(Command(argv=HELLO.argv, cwd=".."))


async def test_a_background_process_has_a_log_that_can_be_read(sandbox: Sandbox) -> None:
    process = await sandbox.start(ENDLESS)
    assert process.exit_code is None
    assert await sandbox.read_file(process.log_path) == b""
    assert process.stop_command
    await sandbox.close()
