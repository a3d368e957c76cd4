"""Globs as an automaton over the names of a path: each name is read once, and nothing backtracks."""

from collections.abc import Callable, Sequence

from .braces import expand
from .wildcard import name_matcher

State = frozenset[int]

_END = 0  # the node where all of a pattern has been matched
_ANY_FOLDERS = "**"
_MAX_STEPS = 1000  # kept at once; a pattern can have as many states as there are folders


class Globs:
    """Patterns with `*`, `?`, `[a-z]`, `{a,b}` and `**`; a path is matched name by name, from `start` on."""

    def __init__(self, patterns: Sequence[str], *, any_depth: bool = False) -> None:
        """With `any_depth`, a pattern without a slash matches the last name of a path, wherever it is."""
        self._next = [_END]
        self._is_any = [False]
        self._matches: list[Callable[[str], object]] = [lambda name: False]
        self._nodes: dict[tuple[str, int], int] = {}
        self._steps: dict[State, tuple[State, list[tuple[Callable[[str], object], State]]]] = {}
        found: set[int] = set()
        for pattern in patterns:
            for each in expand(pattern):
                found |= self._closed(self._add(_segments(each, any_depth=any_depth)))
        self.start: State = frozenset(found)

    def advance(self, state: State, name: str) -> State:
        """Return the state after one more name; an empty one means that nothing below can match."""
        stays, steps = self._step(state)
        made = stays
        for matches, after in steps:
            if matches(name):
                made |= after
        return made

    def accepts(self, state: State, name: str) -> bool:
        """Whether a path that ends with this name, after what led to the state, is matched completely."""
        return any(_END in after and matches(name) for matches, after in self._step(state)[1])

    def _add(self, segments: list[str]) -> int:
        """Return the node that begins these segments; patterns that end alike share nodes."""
        node = _END
        for segment in reversed(segments):
            key = (segment, node)
            if key not in self._nodes:
                self._nodes[key] = len(self._next)
                self._next.append(node)
                self._is_any.append(segment == _ANY_FOLDERS)
                self._matches.append(name_matcher(segment))
            node = self._nodes[key]
        return node

    def _closed(self, node: int) -> State:
        """Return the node with those that are reached without a name: `**` may stand for no folder at all."""
        found = {node}
        while self._is_any[node]:
            node = self._next[node]
            found.add(node)
        return frozenset(found)

    def _step(self, state: State) -> tuple[State, list[tuple[Callable[[str], object], State]]]:
        step = self._steps.get(state)
        if step is None:
            stays: State = frozenset().union(*(self._closed(node) for node in state if self._is_any[node]))
            nodes = [node for node in state if node != _END and not self._is_any[node]]
            step = stays, [(self._matches[node], self._closed(self._next[node])) for node in nodes]
            if len(self._steps) >= _MAX_STEPS:
                self._steps.clear()
            self._steps[state] = step
        return step


def _segments(pattern: str, *, any_depth: bool) -> list[str]:
    pattern = pattern.removesuffix("/")
    if pattern.startswith("/"):  # paths are relative: nothing matches
        return ["/"]
    segments = [segment for segment in pattern.split("/") if segment]
    if any_depth and len(segments) == 1:
        segments.insert(0, _ANY_FOLDERS)
    if segments and segments[-1] == _ANY_FOLDERS:
        segments.append("*")
    return segments or ["/"]
