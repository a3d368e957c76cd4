"""Lists a folder, or all below it; at the limit, what is nearer to the folder stays."""

import os
from collections.abc import Iterable
from contextlib import suppress

from .walk import WalkEntry

MAX_LISTED = 20_000
_MAX_PATH_BYTES = 3 * 1024 * 1024  # of all paths together, so that the answer fits into one frame

Listed = tuple[str, bool, int, float]  # path, is it a folder, bytes, time of change


class Listing:
    """Collects entries by level; the walk's state is the level."""

    def __init__(self, *, recursive: bool, limit: int) -> None:
        self._recursive = recursive
        self._limit = min(limit, MAX_LISTED)
        self._levels: list[list[Listed]] = []
        self._count = 0

    def visit(self, level: int, prefix: str, entries: Iterable[WalkEntry]) -> list[tuple[str, int]]:
        """Visit one folder; return the folders below it, if they are wanted."""
        below: list[tuple[str, int]] = []
        for entry in entries:
            if self._count >= self._limit and level + 1 >= len(self._levels):
                return []  # all that is kept is as near or nearer
            with suppress(FileNotFoundError):
                details = entry.stat(follow_symlinks=False)
                is_dir = entry.is_dir(follow_symlinks=False)
                self._add(level, (prefix + entry.name, is_dir, details.st_size, details.st_mtime))
                if is_dir and self._recursive:
                    below.append((entry.name, level + 1))
        return below

    def entries(self) -> list[Listed]:
        """Return the entries sorted by path, names that are not UTF-8 made readable."""
        used, fitting = 0, []
        for entry in (entry for level in self._levels for entry in level):
            path = os.fsencode(entry[0])
            used += len(path)
            if used > _MAX_PATH_BYTES:
                break
            fitting.append((path.decode("utf-8", "replace"), *entry[1:]))
        return sorted(fitting)

    def _add(self, level: int, entry: Listed) -> None:
        while level >= len(self._levels):
            self._levels.append([])
        self._levels[level].append(entry)
        self._count += 1
        if self._count > self._limit:
            self._levels[-1].pop()
            self._count -= 1
            if not self._levels[-1]:
                self._levels.pop()
