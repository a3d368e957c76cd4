"""The data folder of a local stack: created, and locked by one stack at a time."""

import fcntl
import os
from contextlib import suppress
from pathlib import Path

from baud.sdk.errors import DataDirBusyError, StackError

LOCK_NAME = "baud.lock"


class DataDir:
    """A folder that this process locks from `acquire` to `release`.

    Redis inherits the lock's descriptor: the folder stays taken as long as a Redis writes in it, even when the
    launcher was killed and the kernel has not yet ended its children.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self._lock_fd = -1

    @property
    def lock_fd(self) -> int:
        """The descriptor that holds the lock."""
        if self._lock_fd < 0:
            raise StackError(f"the data folder {self.path} is not held")
        return self._lock_fd

    def acquire(self) -> None:
        """Make the folder and take its lock, or raise DataDirBusyError."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            fd = os.open(self.path / LOCK_NAME, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise StackError(f"cannot use the data folder {self.path}: {error.strerror}; give --data-dir") from error
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(fd, 32).decode(errors="replace").strip() or "unknown"
            os.close(fd)
            raise DataDirBusyError(
                f"another Baud works in {self.path} (pid {holder}); stop it, or give another --data-dir"
            ) from None
        self._lock_fd = fd
        with suppress(OSError):  # the pid is for people; the lock holds without it
            os.ftruncate(fd, 0)
            os.write(fd, f"{os.getpid()}\n".encode())

    def release(self) -> None:
        """Release the lock; harmless when it is not held."""
        if self._lock_fd >= 0:
            os.close(self._lock_fd)
            self._lock_fd = -1
