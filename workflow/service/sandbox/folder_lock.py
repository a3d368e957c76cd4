"""Locks on sandbox folders among the workers of a machine: shared for use, exclusive for removal."""

import fcntl
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from workflow.errors import SandboxError

_LOCK_FILE: Final = "lock"
_FLAGS: Final = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
_WAIT_SECONDS: Final = 10.0  # a remover holds the lock for as long as Redis takes to answer
_POLL_SECONDS: Final = 0.02


class FolderLock:
    """A lock that is held until it is released, or until this process ends."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def __del__(self) -> None:
        """Release: the task that asked for it may have been cancelled before it was taken."""
        self.release()

    @classmethod
    def to_use(cls, folder: Path) -> "FolderLock":
        """Make the folder if it is not there and keep it from being removed. Blocks; raises SandboxError."""
        deadline = time.monotonic() + _WAIT_SECONDS
        while time.monotonic() < deadline:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = cls._take(folder, fcntl.LOCK_SH)
            if lock is not None:
                return lock
            time.sleep(_POLL_SECONDS)
        raise SandboxError(f"The sandbox {folder.name} is being removed. Try again.")

    @classmethod
    def to_remove(cls, folder: Path) -> "FolderLock | None":
        """Return an exclusive lock; None while the folder is in use, or gone."""
        return cls._take(folder, fcntl.LOCK_EX)

    @classmethod
    def _take(cls, folder: Path, kind: int) -> "FolderLock | None":
        path = folder / _LOCK_FILE
        try:
            descriptor = os.open(path, _FLAGS, 0o600)
        except FileNotFoundError:
            return None
        lock = cls(descriptor)
        with suppress(OSError):
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(descriptor), os.stat(path)):  # else it was removed meanwhile
                return lock
        lock.release()
        return None

    def release(self) -> None:
        """Release the lock; a second call does nothing."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
