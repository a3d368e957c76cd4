"""A folder as a tree, as deep as fits into a number of entries, with how much lies below what is not opened."""

from collections.abc import Iterable, Sequence

from .glob_match import Globs, State
from .walk import WalkEntry

MAX_LEVELS = 30  # shown; nobody reads an indentation deeper than that
_SLACK = 2000  # entries of the first level kept beyond those that fit, before the later ones are dropped


class TreeState:
    """Where the walk is: the level of what is in the folder, the state of the ignored globs, whose count it is."""

    def __init__(self, level: int, globs: State, counted_by: int) -> None:
        self.level = level
        self.globs = globs
        self.counted_by = counted_by


class TreeNode:
    """One line: `inside` is how many entries lie below a folder."""

    def __init__(self, path: str, is_dir: bool, number: int) -> None:
        self.path = path
        self.is_dir = is_dir
        self.number = number
        self.inside = 0


class Tree:
    """Collects at most `limit` entries; nothing is kept of levels that cannot be shown completely, except the first."""

    def __init__(self, ignore: Sequence[str], closed: frozenset[str], limit: int) -> None:
        self._globs = Globs(ignore, any_depth=True)
        self._closed = closed
        self._limit = limit
        self._counts = [0, 0]  # entries by level, from 1
        self._kept: list[list[TreeNode]] = [[], []]
        self._total = 0
        self._depth = MAX_LEVELS  # levels that may still fit
        self._parents = [0]  # of each folder that is kept, by its number
        self._inside = [0]
        self.start = TreeState(1, self._globs.start, 0)
        self.seen = 0

    def visit(self, state: TreeState, prefix: str, entries: Iterable[WalkEntry]) -> list[tuple[str, TreeState]]:
        """Visit one folder; return the folders below it that are neither ignored nor closed."""
        below: list[tuple[str, TreeState]] = []
        for entry in entries:
            self.seen += 1
            if self._globs.accepts(state.globs, entry.name):
                continue
            is_dir = entry.is_dir(follow_symlinks=False)
            self._inside[state.counted_by] += 1
            number = self._keep(state, prefix + entry.name, is_dir)
            if is_dir and entry.name not in self._closed:
                globs = self._globs.advance(state.globs, entry.name)
                below.append((entry.name, TreeState(state.level + 1, globs, number or state.counted_by)))
        return below

    def entries(self) -> tuple[list[TreeNode], int]:
        """Return what is shown in order, and how many entries of the first level are not."""
        for number in range(len(self._parents) - 1, 0, -1):
            self._inside[self._parents[number]] += self._inside[number]
        shown = [entry for level in self._kept[1 : self._depth + 1] for entry in level]
        shown.sort(key=lambda entry: entry.path.split("/"))
        del shown[self._limit :]
        for entry in shown:
            if entry.is_dir:
                entry.inside = self._inside[entry.number]
        return shown, max(0, self._counts[1] - self._limit)

    @property
    def depth(self) -> int:
        """How many levels are shown."""
        return self._depth

    def _keep(self, state: TreeState, path: str, is_dir: bool) -> int:
        """Keep an entry while its level may be shown; return the number of a folder that is kept, else 0."""
        if state.level > self._depth:
            return 0
        if state.level == len(self._counts):
            self._counts.append(0)
            self._kept.append([])
        self._counts[state.level] += 1
        number = self._new_folder(state.counted_by) if is_dir else 0
        self._kept[state.level].append(TreeNode(path, is_dir, number))
        self._close_levels()
        return number

    def _new_folder(self, parent: int) -> int:
        self._parents.append(parent)
        self._inside.append(0)
        return len(self._parents) - 1

    def _close_levels(self) -> None:
        """Give up the levels with which there would be too many entries, and all below them."""
        self._total += 1
        if self._total > self._limit and self._depth > 1:
            total = 0
            for level, count in enumerate(self._counts):
                total += count
                if total > self._limit:
                    self._depth = max(1, level - 1)
                    break
            del self._kept[self._depth + 1 :], self._counts[self._depth + 1 :]
            self._total = sum(self._counts)
        if len(self._kept[1]) > self._limit + _SLACK:
            self._kept[1].sort(key=lambda entry: entry.path)
            del self._kept[1][self._limit :]
