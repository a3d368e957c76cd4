"""The SandboxProvider port: where sandboxes come from; the one that the configuration names is imported."""

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from shared.config import SandboxConfig
from shared.providers import SANDBOXES, Providers
from workflow.service.sandbox.base import Sandbox, WorkspacePlace


class PooledSandbox(Sandbox, Protocol):
    """A sandbox that knows when it was last used."""

    def idle_seconds(self) -> float:
        """Return how long ago the last call ended, 0 while one goes on."""


class SandboxProvider(Protocol):
    """Where sandboxes come from; made as `provider(config, root, is_production=…, env=…)`, nothing is started yet.

    `root` is the folder for workspaces of this machine, `env` the worker's environment.
    """

    async def create(self, thread_id: str) -> PooledSandbox:
        """Return the thread's sandbox, its files as they were left. Raises SandboxUnavailableError."""

    async def place(self, thread_id: str) -> WorkspacePlace:
        """Return where the thread's files are kept from here, without making any."""


def build_sandbox_provider(
    config: SandboxConfig,
    root: Path,
    *,
    is_production: bool,
    env: Mapping[str, str],
    providers: Providers = SANDBOXES,
) -> SandboxProvider:
    """Return the provider that `sandbox.provider` names. Raises ConfigurationError."""
    provider: SandboxProvider = providers.make(config.provider, config, root, is_production=is_production, env=env)
    return provider
