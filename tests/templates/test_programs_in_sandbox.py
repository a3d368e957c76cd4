"""Programs that an agent works with and that no wheel brings run in the sandbox as they do outside."""

import pytest

from tests.integration.sandbox.conftest import LocalSandboxes
from tests.integration.sandbox.test_local_sandbox import shell
from workflow.service.sandbox.base import Command
from workflow.service.sandbox.local import LocalSandbox


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
