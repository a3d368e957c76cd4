"""Local sandboxes of both kinds; those that need bubblewrap are skipped where it does not work."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from shared.contract.config import Isolation, Network, SandboxConfig
from workflow.errors import SandboxUnavailableError
from workflow.service.sandbox.local import LocalSandbox
from workflow.service.sandbox.local_provider import LocalProvider

SECRET = "planted-secret-5b1f"


@pytest.fixture(scope="session")
def works_with_bubblewrap(tmp_path_factory: pytest.TempPathFactory) -> bool:
    """Whether it works here; in CI with bubblewrap installed that is taken for granted, so that a fault shows."""
    if os.environ.get("CI") == "true" and shutil.which("bwrap"):
        return True
    config = SandboxConfig(isolation=Isolation.BUBBLEWRAP)
    provider = LocalProvider(config, tmp_path_factory.mktemp("probe"), is_production=False, env=os.environ)
    try:
        asyncio.run(provider.isolation())
    except SandboxUnavailableError:
        return False
    return True


class LocalSandboxes:
    """Makes local sandboxes under one root and closes them at the end."""

    def __init__(self, root: Path, isolation: Isolation, stack: AsyncExitStack) -> None:
        self.root = root
        self.isolation = isolation
        self._stack = stack

    async def open(
        self,
        thread_id: str = "t1",
        *,
        network: Network = Network.OPEN,
        env: Mapping[str, str] | None = None,
        **settings: object,
    ) -> LocalSandbox:
        """Return the thread's sandbox, with a secret in the worker's environment."""
        config = SandboxConfig.model_validate({"isolation": self.isolation, "network": network, **settings})
        worker_env = {**os.environ, "BAUD_TEST_SECRET": SECRET, **(env or {})}
        sandbox = await LocalProvider(config, self.root, is_production=False, env=worker_env).create(thread_id)
        self._stack.push_async_callback(sandbox.close)
        return sandbox


@pytest.fixture(params=[Isolation.BUBBLEWRAP, Isolation.PROCESS])
async def sandboxes(
    request: pytest.FixtureRequest, tmp_path: Path, works_with_bubblewrap: bool
) -> AsyncIterator[LocalSandboxes]:
    if request.param is Isolation.BUBBLEWRAP and not works_with_bubblewrap:
        pytest.skip("bubblewrap does not work on this machine")
    async with AsyncExitStack() as stack:
        yield LocalSandboxes(tmp_path / "sandboxes", request.param, stack)


@pytest.fixture
async def confined(tmp_path: Path, works_with_bubblewrap: bool) -> AsyncIterator[LocalSandboxes]:
    """Sandboxes with bubblewrap alone."""
    if not works_with_bubblewrap:
        pytest.skip("bubblewrap does not work on this machine")
    async with AsyncExitStack() as stack:
        yield LocalSandboxes(tmp_path / "sandboxes", Isolation.BUBBLEWRAP, stack)
