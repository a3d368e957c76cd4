"""The workspaces on this disk: list them, find their threads, and remove one while other workers run."""

import asyncio
import logging
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from workflow.service.sandbox.folder_lock import FolderLock
from workflow.service.sandbox.folders import SandboxFolders
from workflow.service.sandbox.marker import kill_left_over
from workflow.service.sandbox.spawn import Spawn, spawn_process

_log = logging.getLogger(__name__)

_TRASH: Final = ".trash"
_DISK_ID: Final = ".disk-id"
_ABSENT: Final = "absent"  # in a sandbox's folder: that its thread was not found, and in which Redis
_REMOVE_SECONDS: Final = 600.0  # of one tree; what is left of it is removed the next time
_GRACE_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class Workspace:
    """One sandbox's folder and its thread."""

    thread_id: str
    folder: Path


class Workspaces:
    """Everything below the folder of the sandboxes. Methods that are not coroutines block: call them in a thread."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def disk_id(self) -> str:
        """Return the random name of this disk, made at the first call: a worker on another one sees another."""
        path = self._root / _DISK_ID
        self._root.mkdir(parents=True, exist_ok=True)
        with suppress(FileExistsError):
            new = self._root / f"{_DISK_ID}-{secrets.token_hex(8)}"
            new.write_text(secrets.token_hex(16))
            try:
                os.link(new, path)
            finally:
                new.unlink()
        return path.read_text()

    def has(self, thread_id: str) -> bool:
        """Whether the thread has a workspace here."""
        return SandboxFolders.of_thread(self._root, thread_id).workspace.is_dir()

    def all(self) -> list[Workspace]:
        """Return every workspace whose thread is known."""
        return list(self._found())

    def absent_seconds(self, workspace: Workspace, identity: str) -> float:
        """Record that a thread is absent from the Redis of this identity; return for how many seconds it has been."""
        note = workspace.folder / _ABSENT
        with suppress(OSError):
            if note.read_text() == identity:
                return time.time() - note.stat().st_mtime
        with suppress(OSError):  # a full disk: it is noted the next time
            note.write_text(identity)
        return 0.0

    def forget_absence(self, workspace: Workspace) -> None:
        """Forget that the thread was absent."""
        (workspace.folder / _ABSENT).unlink(missing_ok=True)

    def lock(self, workspace: Workspace) -> FolderLock | None:
        """Return an exclusive lock to remove it, None while a worker uses it."""
        with suppress(OSError):
            return FolderLock.to_remove(workspace.folder)
        return None

    def discard(self, workspace: Workspace) -> None:
        """Take a locked workspace out of use, atomically; `empty_trash` removes its files."""
        trash = self._root / _TRASH
        trash.mkdir(mode=0o700, exist_ok=True)
        os.rename(workspace.folder, trash / secrets.token_hex(16))

    def end_left_over(self) -> None:
        """End processes that dead workers left running, where there is no namespace."""
        if left := kill_left_over(self._root.resolve()):
            _log.warning("%d processes that a dead worker had left running were ended", left)

    async def empty_trash(self) -> bool:
        """Remove the files of discarded workspaces, in a process of their own and in bounded time each.

        Returns whether none is left; other workers may do the same concurrently.
        """
        for folder in await asyncio.to_thread(self._discarded):
            if not await self._runs("rm", "-rf", "--", str(folder)):
                # Rights that a command took from its own folders hold us too, unless we are root.
                await self._runs("chmod", "-R", "u+rwx", "--", str(folder))
                await self._runs("rm", "-rf", "--", str(folder))
        return not await asyncio.to_thread(self._discarded)

    def _discarded(self) -> list[Path]:
        with suppress(FileNotFoundError):
            return sorted((self._root / _TRASH).iterdir())
        return []

    def _found(self) -> Iterator[Workspace]:
        with suppress(FileNotFoundError):
            for folder in sorted(self._root.iterdir()):
                folders = SandboxFolders(folder)
                thread_id = folders.thread_id()
                if thread_id is not None and folders.is_complete():
                    yield Workspace(thread_id, folder)

    async def _runs(self, *argv: str) -> bool:
        with open(os.devnull, "wb") as nowhere:  # noqa: ASYNC230 - opens at once
            process = await spawn_process(Spawn(argv=argv, cwd=self._root, env={}), nowhere.fileno())
        try:
            async with asyncio.timeout(_REMOVE_SECONDS):
                await process.wait()
        except TimeoutError:
            _log.warning("a workspace takes longer than %d s to remove; the rest follows", _REMOVE_SECONDS)
        finally:
            await process.end(_GRACE_SECONDS)
        return process.exit_code == 0
