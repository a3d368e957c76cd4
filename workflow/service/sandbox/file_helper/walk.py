"""Walks a folder and all below it with two open descriptors, however deep, and never through a symlink."""

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Generic, Protocol, TypeVar

from .folders import FOLDER_FLAGS
from .paths import MAX_PATH_BYTES

MAX_ENTRIES = 500_000  # visited by one call


class Details(Protocol):
    """What is asked of os.stat_result."""

    @property
    def st_size(self) -> int:
        """Bytes."""

    @property
    def st_mtime(self) -> float:
        """When it was changed."""


class WalkEntry(Protocol):
    """What is asked of os.DirEntry."""

    @property
    def name(self) -> str:
        """The name in its folder."""

    def is_dir(self, *, follow_symlinks: bool = True) -> bool:
        """Whether it is a folder."""

    def stat(self, *, follow_symlinks: bool = True) -> Details:
        """Size and time; FileNotFoundError when it is gone."""


S = TypeVar("S")
# Given the state and path of a folder ("" or "a/b/") and what is in it; returns the folders to go on with.
Visit = Callable[[S, str, Iterable[WalkEntry]], list[tuple[str, S]]]


class Budget:
    """How many entries may still be visited."""

    def __init__(self, entries: int = MAX_ENTRIES) -> None:
        self.left = entries
        self.is_used_up = False

    def spend(self, entries: Iterable[WalkEntry]) -> Iterator[WalkEntry]:
        """Yield entries as long as there is something left."""
        for entry in entries:
            if self.left <= 0:
                self.is_used_up = True
                return
            self.left -= 1
            yield entry


def walk(top: int, state: S, visit: Visit[S], budget: Budget) -> None:
    """Visit the folder that `top` is open on, then each folder that a visit returns, depth first."""
    _Walk(top, visit, budget).run(state)


class _Level(Generic[S]):
    def __init__(self, name: str, prefix: str, identity: tuple[int, int], pending: list[tuple[str, S]]) -> None:
        self.name = name
        self.prefix = prefix
        self.identity = identity
        self.pending = pending


class _Walk(Generic[S]):
    def __init__(self, top: int, visit: Visit[S], budget: Budget) -> None:
        self._top = top
        self._visit = visit
        self._budget = budget
        self._levels: list[_Level[S]] = []
        self._current = -1

    def run(self, state: S) -> None:
        self._current = os.dup(self._top)
        try:
            self._enter("", "", state)
            while self._levels and not self._budget.is_used_up:
                self._go_on(self._levels[-1])
        finally:
            os.close(self._current)

    def _go_on(self, level: _Level[S]) -> None:
        if not level.pending:
            self._climb()
            return
        name, state = level.pending.pop()
        prefix = f"{level.prefix}{name}/"
        if len(prefix) > MAX_PATH_BYTES:
            return
        # Gone or no longer readable since it was listed: its entry stays, without its content.
        with suppress(OSError):
            self._replace(os.open(name, FOLDER_FLAGS, dir_fd=self._current))
            self._enter(name, prefix, state)

    def _enter(self, name: str, prefix: str, state: S) -> None:
        level = _Level[S](name, prefix, _identity(self._current), [])
        self._levels.append(level)
        with os.scandir(self._current) as found:
            level.pending = self._visit(state, prefix, self._budget.spend(found))
        level.pending.reverse()

    def _climb(self) -> None:
        """Go back to the folder above, by its name from the top where it is no longer there."""
        self._levels.pop()
        if not self._levels:
            return
        if not (self._is_above() or self._find_again()):
            self._levels[-1].pending = []

    def _is_above(self) -> bool:
        """Open the folder above; whether it is the one that we came from, not where the folder was moved to."""
        with suppress(OSError):
            self._replace(os.open("..", FOLDER_FLAGS, dir_fd=self._current))
            return _identity(self._current) == self._levels[-1].identity
        return False

    def _find_again(self) -> bool:
        self._replace(os.dup(self._top))
        with suppress(OSError):
            for level in self._levels[1:]:
                self._replace(os.open(level.name, FOLDER_FLAGS, dir_fd=self._current))
            return _identity(self._current) == self._levels[-1].identity
        return False

    def _replace(self, descriptor: int) -> None:
        os.close(self._current)
        self._current = descriptor


def _identity(descriptor: int) -> tuple[int, int]:
    details = os.fstat(descriptor)
    return details.st_dev, details.st_ino
