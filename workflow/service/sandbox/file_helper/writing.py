"""Writes files atomically: a temporary file beside the target, then a rename."""

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress

from .folders import NEW_FILE_FLAGS, Folders
from .paths import Parts

Content = bytes | bytearray | memoryview

_MAX_TRIES = 100  # for a log's number; another start may take it first


def write_files(folders: Folders, files: Mapping[str, Content]) -> list[str]:
    """Check every path, then write each file; return those that were there before, which keep their mode."""
    targets: dict[str, Parts] = {}
    modes: dict[str, int | None] = {}
    for path in files:
        with _about(path):
            targets[path] = folders.paths.resolve(path)
            modes[path] = folders.mode_of(targets[path], path)
    for path, content in files.items():
        with _about(path):
            write_one(folders, targets[path], [content], modes[path])
    return [path for path, mode in modes.items() if mode is not None]


@contextmanager
def _about(path: str) -> Iterator[None]:
    """Let an error name the path as it was given, not the one name of it that was opened."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror, path) from error


def write_one(folders: Folders, parts: Parts, pieces: Iterable[Content], mode: int | None) -> None:
    """Write one file at resolved names, with these permissions or those of a new file."""
    temporary = f".baud-{os.urandom(8).hex()}.tmp"
    with folders.open(parts[:-1], create=True) as folder:
        descriptor = os.open(temporary, NEW_FILE_FLAGS, 0o666, dir_fd=folder)
        try:
            with open(descriptor, "wb", buffering=0) as file:
                for piece in pieces:
                    _write_all(file.fileno(), memoryview(piece))
                if mode is not None:
                    os.fchmod(file.fileno(), mode)
            os.rename(temporary, parts[-1], src_dir_fd=folder, dst_dir_fd=folder)
        except BaseException:
            with suppress(FileNotFoundError):
                os.unlink(temporary, dir_fd=folder)
            raise


def new_numbered(folders: Folders, folder: str, suffix: str) -> tuple[str, Parts]:
    """Create `{folder}/{n}{suffix}`, n above every number there is; return its path and its resolved names."""
    parts = folders.paths.resolve(folder)
    with folders.open(parts, create=True) as descriptor:
        number = 1 + max((_number(name, suffix) for name in os.listdir(descriptor)), default=0)
        for attempt in range(number, number + _MAX_TRIES):
            name = f"{attempt}{suffix}"
            with suppress(FileExistsError):
                os.close(os.open(name, NEW_FILE_FLAGS, 0o644, dir_fd=descriptor))
                return f"{folder}/{name}", (*parts, name)
    raise FileExistsError(17, os.strerror(17), folder)


def _number(name: str, suffix: str) -> int:
    digits = name.removesuffix(suffix)
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 10 else 0


def _write_all(descriptor: int, content: memoryview) -> None:
    while content:
        content = content[os.write(descriptor, content) :]
