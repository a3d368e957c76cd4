"""LocalSandbox: one thread's workspace on this machine."""

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final

from shared.contract.result import SandboxInfo
from workflow.errors import SandboxError
from workflow.service.sandbox.background import BackgroundProcesses
from workflow.service.sandbox.base import (
    BackgroundProcess,
    Command,
    CommandResult,
    EditedFile,
    FileEntry,
    FolderTree,
    FoundFiles,
    LinesPage,
    LinesWanted,
    OutputSink,
    TextReplacement,
)
from workflow.service.sandbox.disk_guard import DiskGuard
from workflow.service.sandbox.folders import SandboxFolders
from workflow.service.sandbox.isolation import Isolation
from workflow.service.sandbox.listening import first_listening_host
from workflow.service.sandbox.run_command import GRACE_SECONDS, NOT_FOUND, run_command, start_failure
from workflow.service.sandbox.spawn import Spawn, SpawnedProcess
from workflow.service.sandbox.workspace_files import WorkspaceFiles

_LISTEN_WAIT_SECONDS: Final = 10.0  # a bundler's first start takes some


class LocalSandbox:
    """The Sandbox port over folders and processes of this machine, confined by an Isolation."""

    def __init__(
        self,
        folders: SandboxFolders,
        isolation: Isolation,
        guard: DiskGuard,
        *,
        on_close: Callable[[], None] = lambda: None,
    ) -> None:
        """Take folders that exist, with no symlink in their own path; `on_close` is called when all has ended."""
        self._folders = folders
        self._isolation = isolation
        self._guard = guard
        self._on_close = on_close
        self._workspace = isolation.shown_workspace(folders)
        self._files = WorkspaceFiles(folders.workspace, self._workspace)
        self._background = BackgroundProcesses(self._files, folders.workspace, self._guarded)
        self._running: set[SpawnedProcess] = set()
        self._is_closed = False
        self._calls = 0
        self._last_used = time.monotonic()

    @property
    def sandbox_id(self) -> str:
        """The name of the thread's folder."""
        return self._folders.base.name

    @property
    def workspace(self) -> str:
        """The workspace's path as commands see it: real without namespaces."""
        return self._workspace

    @property
    def files(self) -> WorkspaceFiles:
        """What works on its files."""
        return self._files

    def idle_seconds(self) -> float:
        """Return how long ago the last call ended, 0 while one goes on."""
        return 0.0 if self._calls else time.monotonic() - self._last_used

    async def run(self, command: Command, on_output: OutputSink | None = None) -> CommandResult:
        """Run it to its end or limit; a missing program or folder is exit code 127, an unusable command 126.

        Raises PathOutsideWorkspaceError for a `cwd` that leads out.
        """
        with self._in_use():
            try:
                spawn = await self._spawn(command)
            except NotADirectoryError as error:
                return CommandResult(f"{error}\n", NOT_FOUND)
            except ValueError as error:
                return start_failure(error)
            return await run_command(spawn, command.timeout_seconds, on_output, self._guarded)

    async def start(self, command: Command) -> BackgroundProcess:
        """Start it in the background, without a time limit; raises SandboxError when it cannot be started."""
        with self._in_use():
            try:
                spawn = await self._spawn(command)
            except (NotADirectoryError, ValueError) as error:
                raise SandboxError(f"The command cannot be started: {error}") from error
            return await self._background.start(spawn)

    async def read_file(self, path: str, max_bytes: int | None = None) -> bytes:
        """Return a regular file's first bytes, or all."""
        with self._in_use():
            return await self._files.read(path, max_bytes)

    async def read_lines(self, path: str, wanted: LinesWanted) -> LinesPage:
        """Return lines of a text file."""
        with self._in_use():
            return await self._files.read_lines(path, wanted)

    async def write_files(self, files: Mapping[str, bytes]) -> frozenset[str]:
        """Check all paths, then write each file atomically."""
        with self._in_use():
            await asyncio.to_thread(self._guard.require_room, sum(map(len, files.values())))
            return await self._files.write(files)

    async def edit_file(self, path: str, edits: Sequence[TextReplacement]) -> EditedFile:
        """Make all edits, or none."""
        with self._in_use():
            await asyncio.to_thread(self._guard.require_room, 0)
            return await self._files.edit(path, edits)

    async def list_files(self, path: str, *, recursive: bool, limit: int = 20_000) -> list[FileEntry]:
        """Return the entries; symlinks are listed, not followed. At the limit, deeper ones are left out first."""
        with self._in_use():
            return await self._files.list_folder(path, recursive=recursive, limit=limit)

    async def find_files(self, path: str, pattern: str, *, leave_out: frozenset[str], limit: int) -> FoundFiles:
        """Return the newest files that match."""
        with self._in_use():
            return await self._files.find(path, pattern, leave_out=leave_out, limit=limit)

    async def list_tree(self, path: str, *, ignore: Sequence[str], closed: frozenset[str], limit: int) -> FolderTree:
        """Return a folder as a tree."""
        with self._in_use():
            return await self._files.tree(path, ignore=ignore, closed=closed, limit=limit)

    async def display_path(self, path: str) -> str:
        """Return the absolute path as commands see it."""
        with self._in_use():
            return await self._files.display(path)

    async def expose(self, port: int, app_path: str) -> SandboxInfo:
        """Return the address of a server of this machine, once it accepts connections."""
        with self._in_use():
            if not self._isolation.opens_ports:
                raise SandboxError(
                    "No port of this sandbox can be reached, as sandbox.network is none. Set it to open for that."
                )
            host = await first_listening_host(port, _LISTEN_WAIT_SECONDS)
        return SandboxInfo(sandbox_id=self.sandbox_id, sandbox_url=f"http://{host}:{port}", app_path=app_path)

    async def close(self) -> None:
        """Stop every process; the files stay, later calls raise SandboxError."""
        self._is_closed = True
        try:
            await self._background.close()
            await self._files.close()
            await asyncio.gather(*(process.end(GRACE_SECONDS) for process in set(self._running)))
        finally:
            self._on_close()

    @contextmanager
    def _in_use(self) -> Iterator[None]:
        if self._is_closed:
            raise SandboxError("The sandbox was stopped; its files are kept. Ask for it again.")
        self._calls += 1
        try:
            yield
        finally:
            self._calls -= 1
            self._last_used = time.monotonic()

    @contextmanager
    def _guarded(self, process: SpawnedProcess) -> Iterator[None]:
        self._running.add(process)
        try:
            with self._guard.watch(process, self._folders.base):
                yield
        finally:
            self._running.discard(process)

    async def _spawn(self, command: Command) -> Spawn:
        return self._isolation.spawn(self._folders, command, await self._folder(command.cwd))

    async def _folder(self, cwd: str) -> tuple[str, ...]:
        """Return the names that lead to the working folder; the workspace itself is known to be there."""
        if cwd in {"", ".", self._workspace}:
            return ()
        try:
            return await self._files.folder(cwd)
        except (FileNotFoundError, NotADirectoryError) as error:
            message = f"The working folder {cwd} does not exist or is not a folder."
            raise NotADirectoryError(message) from error
