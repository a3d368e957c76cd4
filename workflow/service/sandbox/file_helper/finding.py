"""Finds files by a glob: the newest of them, in memory that does not grow with the tree."""

from collections.abc import Iterable
from contextlib import suppress

from .glob_match import Globs, State
from .walk import WalkEntry

_SLACK = 2000  # found files kept beyond those that are wanted, before the older ones are dropped


class Finder:
    """The files below a folder whose path matches, without those that lie in a folder named in `leave_out`."""

    def __init__(self, pattern: str, leave_out: frozenset[str], limit: int) -> None:
        self._globs = Globs([pattern])
        self._leave_out = leave_out
        self._limit = limit
        self._found: list[tuple[float, str]] = []
        self.count = 0

    @property
    def start(self) -> State:
        """The state in which the walk begins."""
        return self._globs.start

    def visit(self, state: State, prefix: str, entries: Iterable[WalkEntry]) -> list[tuple[str, State]]:
        """Visit one folder; return the folders in which something can match."""
        below: list[tuple[str, State]] = []
        for entry in entries:
            if entry.name in self._leave_out:
                continue
            if entry.is_dir(follow_symlinks=False):
                after = self._globs.advance(state, entry.name)
                if after:
                    below.append((entry.name, after))
            elif self._globs.accepts(state, entry.name):
                self._add(prefix, entry)
        return below

    def newest(self) -> list[str]:
        """Return the paths, newest first; those of one time by name."""
        self._drop_older()
        return [path for _, path in self._found]

    def _add(self, prefix: str, entry: WalkEntry) -> None:
        with suppress(FileNotFoundError):
            self._found.append((-entry.stat(follow_symlinks=False).st_mtime, prefix + entry.name))
            self.count += 1
        if len(self._found) > self._limit + _SLACK:
            self._drop_older()

    def _drop_older(self) -> None:
        self._found.sort()
        del self._found[self._limit :]
