"""The worst a model can ask of the tools for files costs one helper process, which is bounded and can be killed."""

import asyncio
import os
import signal
from pathlib import Path

import psutil
import pytest
from pydantic import JsonValue

from tests.fakes.fake_tool_context import FakeToolContext
from tests.integration.sandbox.conftest import SECRET, LocalSandboxes
from tests.integration.sandbox.processes import eventually
from workflow.errors import SandboxError, ToolError
from workflow.service.sandbox.base import Command
from workflow.service.sandbox.file_helper.editing import MAX_EDIT_BYTES
from workflow.service.sandbox.local import LocalSandbox
from workflow.service.sandbox.workspace_files import WorkspaceFiles
from workflow.tool.file_read import FileReadTool
from workflow.tool.files_creation import FilesCreationTool
from workflow.tool.glob import GlobTool
from workflow.tool.ls import LsTool
from workflow.tool.multi_edit import MultiEditTool


@pytest.fixture
async def sandbox(sandboxes: LocalSandboxes) -> LocalSandbox:
    return await sandboxes.open()


def workspace_of(sandboxes: LocalSandboxes) -> Path:
    return sandboxes.root.resolve() / "t1" / "workspace"


def make_chain(folder: Path, depth: int) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("d", dir_fd=descriptor)
        inner = os.open("d", os.O_RDONLY, dir_fd=descriptor)
        os.close(descriptor)
        descriptor = inner
    os.close(descriptor)


def make_gigabyte(path: Path) -> None:
    """Write three lines, the second of which is almost all."""
    with path.open("wb") as file:
        file.write(b"first\n" + b"x" * 10_000)
        file.truncate(1_000_000_000)
        file.seek(0, os.SEEK_END)
        file.write(b"\nlast\n")


async def test_a_glob_over_nested_folders_comes_back(sandbox: LocalSandbox) -> None:
    context = FakeToolContext(sandbox)
    await context.call(FilesCreationTool(), files=[{"file_path": "a/" * 36 + "c", "content": "x"}])
    result = await context.call(GlobTool(), pattern="**/a/" * 10 + "b")
    assert result.text == f"No files match {'**/a/' * 10}b."


async def test_a_chain_of_1800_folders_is_listed_by_eight_calls_at_once(
    sandbox: LocalSandbox, sandboxes: LocalSandboxes
) -> None:
    make_chain(workspace_of(sandboxes), 1800)
    context = FakeToolContext(sandbox)
    results = await asyncio.gather(*(context.call(LsTool(), path=".") for _ in range(8)))
    found = (await context.call(GlobTool(), pattern="**/*.py")).text
    # Neither Python's own way to remove a tree nor pytest's gets to the end of it.
    process = await asyncio.create_subprocess_exec("rm", "-rf", workspace_of(sandboxes) / "d")
    assert await process.wait() == 0
    lines = results[0].text.splitlines()
    assert len(lines) == 30
    assert lines[-1].strip() == "d/ (1770 entries)"
    assert found == "No files match **/*.py."


@pytest.mark.parametrize("path", ["a/" * 7000, "../" * 4000, "x" * 14_000], ids=["names", "up", "one"])
async def test_a_path_of_14000_characters_is_refused_without_a_helper(sandbox: LocalSandbox, path: str) -> None:
    for attempt in (
        sandbox.display_path(path),
        sandbox.read_file(path),
        sandbox.write_files({path: b"x"}),
        sandbox.list_files(path, recursive=True),
        sandbox.run(Command(["true"], cwd=path)),
    ):
        with pytest.raises(SandboxError, match="at most 4096"):
            await attempt
    assert sandbox.files.helper_pid is None


async def test_an_edit_that_would_make_a_gigabyte_is_refused_before_it_is_made(sandbox: LocalSandbox) -> None:
    await sandbox.write_files({"a.txt": b"a" * 1000})
    edits: list[JsonValue] = [{"old_string": "a", "new_string": "b" * 1_000_000, "replace_all": True}]
    with pytest.raises(ToolError, match=f"1000000000 bytes, more than the {MAX_EDIT_BYTES}"):
        await FakeToolContext(sandbox).call(MultiEditTool(), file_path="a.txt", edits=edits)
    assert await sandbox.read_file("a.txt") == b"a" * 1000


async def test_sixty_edits_of_the_largest_file_fit_into_the_helpers_memory(sandbox: LocalSandbox) -> None:
    marks = "".join(f"<{number}>" for number in range(60))
    await sandbox.write_files({"a.txt": "😀".encode() + b"x" * (MAX_EDIT_BYTES - 1000) + marks.encode()})
    edits: list[JsonValue] = [{"old_string": f"<{number}>", "new_string": "-"} for number in range(60)]
    await FakeToolContext(sandbox).call(MultiEditTool(), file_path="a.txt", edits=edits)
    assert (await sandbox.read_file("a.txt")).endswith(b"x" + b"-" * 60)


async def test_a_file_of_a_gigabyte_is_read_by_offset(sandbox: LocalSandbox, sandboxes: LocalSandboxes) -> None:
    make_gigabyte(workspace_of(sandboxes) / "big.txt")
    text = (await FakeToolContext(sandbox).call(FileReadTool(), file_path="big.txt", offset=3)).text
    assert text == "     3\tlast"


async def test_eight_reads_of_ten_million_lines_hold_one_page(sandbox: LocalSandbox) -> None:
    await sandbox.write_files({"lines.txt": b"\n" * 10_000_000})
    context = FakeToolContext(sandbox)
    results = await asyncio.gather(*(context.call(FileReadTool(), file_path="lines.txt") for _ in range(8)))
    assert results[7].text.endswith("[9998000 more lines; go on with offset 2001]")


async def test_a_link_that_leads_round_and_round_is_an_error(sandbox: LocalSandbox, sandboxes: LocalSandboxes) -> None:
    root = workspace_of(sandboxes)
    (root / "d").mkdir()
    for number in range(39):
        (root / f"l{number}").symlink_to("d/../" * 800 + f"l{number + 1}")
    with pytest.raises(OSError, match="symbolic links"):
        await sandbox.display_path("l0/x")


async def test_a_call_past_its_limit_kills_its_helper_and_no_other(sandboxes: LocalSandboxes) -> None:
    slow, other = await sandboxes.open("slow"), await sandboxes.open("other")
    await slow.write_files({"a": b"1"})
    await other.write_files({"a": b"2"})
    pid, kept = slow.files.helper_pid, other.files.helper_pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)  # as one that computes for ever
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await slow.read_file("a")
    assert await eventually(lambda: not psutil.pid_exists(pid))
    assert await slow.read_file("a") == b"1"
    assert await other.read_file("a") == b"2"
    assert other.files.helper_pid == kept


async def test_an_operation_has_a_limit_of_its_own(sandboxes: LocalSandboxes) -> None:
    await sandboxes.open()
    files = WorkspaceFiles(workspace_of(sandboxes), "/workspace", call_seconds=0.5)
    await files.write({"a": b"1"})
    assert files.helper_pid is not None
    os.kill(files.helper_pid, signal.SIGSTOP)
    with pytest.raises(SandboxError, match=r"stopped after 0\.5 s"):
        await files.read("a", None)
    await files.close()


async def test_a_helper_that_was_killed_is_replaced(sandbox: LocalSandbox) -> None:
    await sandbox.write_files({"a": b"1"})
    pid = sandbox.files.helper_pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    reading = asyncio.create_task(sandbox.read_file("a"))
    await asyncio.sleep(0)
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(SandboxError, match="broke off"):
        await reading
    assert await sandbox.read_file("a") == b"1"


async def test_an_idle_helper_ends_and_a_closed_sandbox_keeps_none(sandboxes: LocalSandboxes) -> None:
    sandbox = await sandboxes.open()
    files = WorkspaceFiles(workspace_of(sandboxes), "/workspace", idle_seconds=0.01)
    await files.write({"a": b"1"})
    assert await eventually(lambda: files.helper_pid is None)
    assert await files.read("a", None) == b"1"
    await files.close()
    await sandbox.read_file("a")
    pid = sandbox.files.helper_pid
    await sandbox.close()
    assert pid is not None
    assert not psutil.pid_exists(pid)


async def test_a_helper_has_neither_the_workers_secrets_nor_its_descriptors(sandbox: LocalSandbox) -> None:
    inherited = os.open(__file__, os.O_RDONLY)
    os.set_inheritable(inherited, True)
    await sandbox.write_files({"a": b"1"})
    os.close(inherited)
    assert sandbox.files.helper_pid is not None
    helper = Path(f"/proc/{sandbox.files.helper_pid}")
    assert SECRET.encode() not in (helper / "environ").read_bytes()
    assert sorted(each.name for each in (helper / "fd").iterdir()) == ["0", "1", "2"]
