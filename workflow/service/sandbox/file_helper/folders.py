"""Opens what is in a workspace name by name, so that no symlink, not even one just made, leads out of it."""

import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress

from .paths import Parts, WorkspacePaths
from .refusal import RefusedError

FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
NEW_FILE_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_READ_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # non-blocking: a FIFO must not hang


class Folders:
    """Opens the files and folders of one workspace."""

    def __init__(self, paths: WorkspacePaths) -> None:
        self.paths = paths

    @contextmanager
    def open(self, parts: Iterable[str], *, create: bool = False) -> Iterator[int]:
        """Open the folder that these resolved names lead to."""
        descriptor = os.open(self.paths.root, FOLDER_FLAGS)
        try:
            for name in parts:
                if create:
                    with suppress(FileExistsError):
                        os.mkdir(name, dir_fd=descriptor)
                inner = os.open(name, FOLDER_FLAGS, dir_fd=descriptor)
                os.close(descriptor)
                descriptor = inner
            yield descriptor
        finally:
            os.close(descriptor)

    def open_file(self, path: str) -> int:
        """Open a regular file for reading."""
        parts = self.paths.resolve(path)
        if not parts:
            raise IsADirectoryError(21, os.strerror(21), path)
        with self.open(parts[:-1]) as folder:
            require_regular(os.stat(parts[-1], dir_fd=folder, follow_symlinks=False).st_mode, path)
            return os.open(parts[-1], _READ_FLAGS, dir_fd=folder)

    def mode_of(self, parts: Parts, path: str) -> int | None:
        """Return the permissions of the regular file that is there, None where there is nothing."""
        if not parts:
            raise IsADirectoryError(21, os.strerror(21), path)
        try:
            with self.open(parts[:-1]) as folder:
                mode = os.stat(parts[-1], dir_fd=folder, follow_symlinks=False).st_mode
        except FileNotFoundError:
            return None
        require_regular(mode, path)
        return stat.S_IMODE(mode)


def require_regular(mode: int, path: str) -> None:
    """Refuse folders, pipes, sockets and devices."""
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(21, os.strerror(21), path)
    if not stat.S_ISREG(mode):
        raise RefusedError(f"{path} is not a regular file (a pipe, socket or device). Use a command in bash.")
