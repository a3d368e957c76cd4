"""Local sandboxes of both kinds; where bubblewrap does not work, its tests fail and say why."""

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from shared.config import IsolationKind, Network, SandboxConfig
from workflow.service.sandbox.local import LocalSandbox
from workflow.service.sandbox.local_provider import LocalProvider

SECRET = "planted-secret-5b1f"


class LocalSandboxes:
    """Makes local sandboxes under one root and closes them at the end."""

    def __init__(self, root: Path, isolation: IsolationKind, stack: AsyncExitStack) -> None:
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


@pytest.fixture(params=[IsolationKind.BUBBLEWRAP, IsolationKind.PROCESS])
async def sandboxes(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[LocalSandboxes]:
    async with AsyncExitStack() as stack:
        yield LocalSandboxes(tmp_path / "sandboxes", request.param, stack)


@pytest.fixture
async def confined(tmp_path: Path) -> AsyncIterator[LocalSandboxes]:
    """Sandboxes with bubblewrap alone."""
    async with AsyncExitStack() as stack:
        yield LocalSandboxes(tmp_path / "sandboxes", IsolationKind.BUBBLEWRAP, stack)
