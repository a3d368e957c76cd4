"""Programs that an agent works with and that no wheel brings run in the sandbox as they do outside."""

import shutil
from pathlib import Path

import pytest

from shared.config import IsolationKind, SandboxConfig
from tests.integration.sandbox.conftest import LocalSandboxes
from tests.integration.sandbox.processes import shell
from tests.integration.test_tools_on_local_sandbox import call, write
from workflow.errors import ToolError
from workflow.service.sandbox.base import Command
from workflow.service.sandbox.local import LocalSandbox
from workflow.service.sandbox.local_provider import LocalProvider
from workflow.tool.grep import GrepTool


@pytest.fixture
async def sandbox(sandboxes: LocalSandboxes) -> LocalSandbox:
    return await sandboxes.open()


async def test_node_runs_webassembly_under_the_memory_limit(sandbox: LocalSandbox) -> None:
    script = "new WebAssembly.Memory({initial: 1, maximum: 100}); console.log('fine')"
    assert (await sandbox.run(Command(argv=["node", "-e", script]))).output == "fine\n"


@pytest.mark.parametrize("program", ["node", "npm", "git"])
async def test_the_tools_of_the_trade_work_inside(sandbox: LocalSandbox, program: str) -> None:
    assert (await sandbox.run(Command(argv=[program, "--version"]))).exit_code == 0


async def test_a_git_repository_can_be_made_and_ignores_our_logs(sandbox: LocalSandbox) -> None:
    await sandbox.start(shell("echo x"))
    script = (
        "git init -q . && touch a && git add -A && git -c user.name=a -c user.email=a@b commit -qm m && git ls-files"
    )
    assert (await sandbox.run(shell(script))).output == "a\n"


async def test_grep_without_ripgrep_finds_the_same(tmp_path: Path) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "grep").symlink_to(shutil.which("grep") or "grep")
    config = SandboxConfig(isolation=IsolationKind.PROCESS)
    provider = LocalProvider(
        config, tmp_path, is_production=False, env={"PATH": str(programs)}, find_ripgrep=lambda: None
    )
    sandbox = await provider.create("thread")
    await write(sandbox, {"src/a.py": "def f():\n    return --1\n", "b.txt": "def f\n", ".git/d.py": "def f"})
    assert await call(sandbox, GrepTool(), pattern="def +f", include="*.py") == "src/a.py:1:def f():"
    assert await call(sandbox, GrepTool(), pattern="--1", path="src") == "src/a.py:2:    return --1"
    assert await call(sandbox, GrepTool(), pattern="nowhere") == "No matches."
    with pytest.raises(ToolError, match="The pattern cannot be used: grep:"):
        await call(sandbox, GrepTool(), pattern="(x")
    await sandbox.close()
