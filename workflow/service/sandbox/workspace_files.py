"""The files of a workspace: blocking operations that never follow a symlink out of it."""

import os
import secrets
import stat
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import count
from typing import Final

from workflow.errors import PathOutsideWorkspaceError, SandboxError
from workflow.service.sandbox.base import FileEntry
from workflow.service.sandbox.confine import WorkspacePaths

# Each name is opened relative to its folder without following links, so that a command that swaps a
# folder for a symlink between the check and the use meets an error, not another place.
_FOLDER_FLAGS: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ_FLAGS: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # non-blocking: a FIFO must not hang
_NEW_FILE_FLAGS: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC

Parts = tuple[str, ...]


class WorkspaceFiles:
    """Reads, writes and lists below one workspace. Every method blocks: call it in a thread."""

    def __init__(self, paths: WorkspacePaths) -> None:
        self._paths = paths

    def is_folder(self, parts: Parts) -> bool:
        """Whether the resolved names lead to a folder."""
        try:
            with self._folder(parts):
                return True
        except (FileNotFoundError, NotADirectoryError):
            return False

    def read(self, path: str, max_bytes: int | None) -> bytes:
        """Return the first `max_bytes` bytes of a regular file, or all of it."""
        parts = self._paths.resolve(path)
        if not parts:
            raise IsADirectoryError(path)
        with self._folder(parts[:-1]) as folder:
            _require_regular(os.stat(parts[-1], dir_fd=folder, follow_symlinks=False).st_mode, path)
            descriptor = os.open(parts[-1], _READ_FLAGS, dir_fd=folder)
        with open(descriptor, "rb") as file:
            return file.read(-1 if max_bytes is None else max_bytes)

    def write(self, files: Mapping[str, bytes]) -> None:
        """Check every path, then write each file whole; a file that is there keeps its mode."""
        targets = {path: self._paths.resolve(path) for path in files}
        modes = {path: self._mode_of_target(path, parts) for path, parts in targets.items()}
        for path, content in files.items():
            self._write_one(targets[path], content, modes[path])

    def list_folder(self, path: str, *, recursive: bool, limit: int) -> list[FileEntry]:
        """Return at most `limit` entries sorted by path; what is nearer to the folder comes first."""
        top = self._paths.resolve(path)
        entries = self._scan(top, ())
        pending = deque(entry for entry in entries if recursive and entry.is_dir)
        while pending and len(entries) < limit:
            # Gone or closed to us since it was listed: its entry stays, its content is not there to list.
            with suppress(FileNotFoundError, NotADirectoryError, PermissionError):
                found = self._scan(top, (pending.popleft().path,))
                entries.extend(found)
                pending.extend(entry for entry in found if entry.is_dir)
        return sorted((_printable(entry) for entry in entries[:limit]), key=lambda entry: entry.path)

    def exists(self, path: str) -> bool:
        """Whether something inside the workspace is there and within reach."""
        try:
            *above, name = self._paths.resolve(path) or (".",)
            with self._folder(above) as folder:
                os.stat(name, dir_fd=folder, follow_symlinks=False)
        except (OSError, PathOutsideWorkspaceError):
            return False
        return True

    def remove(self, path: str) -> None:
        """Remove a file if it is there and within reach; if not, that is no error."""
        with suppress(OSError, PathOutsideWorkspaceError):
            *above, name = self._paths.resolve(path) or (".",)
            with self._folder(above) as folder:
                os.unlink(name, dir_fd=folder)

    def new_numbered(self, folder: str, suffix: str) -> tuple[int, str]:
        """Create `{folder}/{n}{suffix}` with the next free n; return its open descriptor and its path."""
        with self._folder(self._paths.resolve(folder), create=True) as descriptor:
            for number in count(1):
                name = f"{number}{suffix}"
                with suppress(FileExistsError):
                    flags = _NEW_FILE_FLAGS | os.O_APPEND
                    return os.open(name, flags, 0o644, dir_fd=descriptor), f"{folder}/{name}"
        raise AssertionError("count() does not end")

    @contextmanager
    def _folder(self, parts: Iterable[str], *, create: bool = False) -> Iterator[int]:
        descriptor = os.open(self._paths.root, _FOLDER_FLAGS)
        try:
            for name in parts:
                if create:
                    with suppress(FileExistsError):
                        os.mkdir(name, dir_fd=descriptor)
                inner = os.open(name, _FOLDER_FLAGS, dir_fd=descriptor)
                os.close(descriptor)
                descriptor = inner
            yield descriptor
        finally:
            os.close(descriptor)

    def _mode_of_target(self, path: str, parts: Parts) -> int | None:
        """Return the permissions of the file that will be replaced, None where there is none."""
        if not parts:
            raise IsADirectoryError(path)
        try:
            with self._folder(parts[:-1]) as folder:
                mode = os.stat(parts[-1], dir_fd=folder, follow_symlinks=False).st_mode
        except FileNotFoundError:
            return None
        _require_regular(mode, path)
        return stat.S_IMODE(mode)

    def _write_one(self, parts: Parts, content: bytes, mode: int | None) -> None:
        temporary = f".baud-{secrets.token_hex(8)}.tmp"
        with self._folder(parts[:-1], create=True) as folder:
            descriptor = os.open(temporary, _NEW_FILE_FLAGS, 0o666, dir_fd=folder)
            try:
                with open(descriptor, "wb") as file:
                    file.write(content)
                    if mode is not None:
                        os.fchmod(file.fileno(), mode)
                os.rename(temporary, parts[-1], src_dir_fd=folder, dst_dir_fd=folder)
            except BaseException:
                with suppress(FileNotFoundError):
                    os.unlink(temporary, dir_fd=folder)
                raise

    def _scan(self, top: Parts, below: Parts) -> list[FileEntry]:
        """Return one folder's entries by name; `below` holds at most one path, relative to `top`."""
        start = "".join(f"{path}/" for path in below)
        names = tuple(name for path in below for name in path.split("/"))
        entries = []
        with self._folder((*top, *names)) as folder, os.scandir(folder) as found:
            for item in found:
                with suppress(FileNotFoundError):
                    details = item.stat(follow_symlinks=False)
                    is_folder = stat.S_ISDIR(details.st_mode)
                    entries.append(FileEntry(start + item.name, is_folder, details.st_size, details.st_mtime))
        return sorted(entries, key=lambda entry: entry.path)


def _require_regular(mode: int, path: str) -> None:
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(path)
    if not stat.S_ISREG(mode):
        raise SandboxError(f"{path} is not a regular file (a pipe, socket or device). Use a command in bash.")


def _printable(entry: FileEntry) -> FileEntry:
    """A name that is not UTF-8 could be put into no event."""
    path = os.fsencode(entry.path).decode("utf-8", "replace")
    return FileEntry(path, entry.is_dir, entry.size_bytes, entry.modified_at)
