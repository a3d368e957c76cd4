"""Finds and masks known values in text, complete or in pieces, in one pass however many values there are.

Every occurrence is masked; occurrences that overlap or touch become one mask. This is an Aho-Corasick automaton: a
state is the longest suffix of the text so far that is a prefix of a value.
"""

import re
from array import array
from collections import deque
from collections.abc import Callable, Iterable
from typing import Final, Protocol

import re2  # type: ignore[import-untyped]  # google-re2 brings no types

# Searched for first, in one regular expression: a text without the beginning of a value holds no value.
_BEGINNING: Final = 24  # bytes
_MATCHER_BYTES: Final = 67_108_864
_MOST_FIRSTS: Final = 128  # alternatives of a pattern, each tried at each character


class SecretMatcher:
    """Values to be masked. Costs some twenty bytes for each character of them."""

    def __init__(self, values: Iterable[str], mask: str) -> None:
        self.values = frozenset(value for value in values if value)
        self.mask_text = mask
        self.longest = max(map(len, self.values), default=0)
        # By state. The first child of a state is the next state, so that a value without branches needs no dict.
        self._labels: list[str] = [""]  # the character by which it is reached
        self._nexts: list[str] = [""]  # the character that leads on to the next state
        self._branches: dict[int, dict[str, int]] = {}  # its other children
        self._parents, self._depths = array("l", [0]), array("l", [0])
        self._ends = array("l", [0])  # length of the longest value that ends here
        for value in sorted(self.values):
            self._insert(value)
        self._fails = array("l", [0]) * len(self._labels)
        self._open = array("l", [0]) * len(
            self._labels
        )  # how many characters at the end may be the beginning of a value
        self._link()
        self._first = _first_two_of(self.values)
        self._beginnings = _any_of({value.encode("utf-8", "surrogatepass")[:_BEGINNING] for value in self.values})

    def may_hold(self, data: bytes) -> bool:
        """Whether UTF-8 text may hold a value; quick, and False is certain."""
        return self._beginnings is not None and self._beginnings.search(data) is not None

    def mask(self, text: str) -> str:
        """Return a complete text with the values masked."""
        if not self.may_hold(text.encode("utf-8", "surrogatepass")):
            return text
        stream = MaskedStream(self)
        return stream.feed(text) + stream.finish()

    def read(self, state: int, text: str, place: int, found: Callable[[int, int], None]) -> int:
        """Return the state after a text that begins at `place`; `found` gets begin and end of each occurrence."""
        nexts, branches, fails, ends = self._nexts, self._branches, self._fails, self._ends
        no_children: dict[str, int] = {}
        for end, character in enumerate(text, place + 1):
            while nexts[state] != character:
                child = branches.get(state, no_children).get(character)
                if child is not None:
                    state = child
                    break
                if not state:
                    break
                state = fails[state]
            else:
                state += 1
            if ends[state]:
                found(end - ends[state], end)
        return state

    def may_begin(self, text: str) -> bool:
        """Whether a value may begin in a text; quick, and False is certain."""
        return self._first is not None and self._first.search(text) is not None

    def open_at(self, state: int) -> int:
        """Return how many characters at the end may be the beginning of a value."""
        return self._open[state]

    def _child(self, state: int, character: str) -> int | None:
        return state + 1 if self._nexts[state] == character else self._branches.get(state, {}).get(character)

    def _insert(self, value: str) -> None:
        state = 0
        for character in value:
            child = self._child(state, character)
            state = self._add(state, character) if child is None else child
        self._ends[state] = len(value)

    def _add(self, parent: int, character: str) -> int:
        state = len(self._labels)
        self._labels.append(character)
        self._nexts.append("")
        self._parents.append(parent)
        self._depths.append(self._depths[parent] + 1)
        self._ends.append(0)
        if state == parent + 1:
            self._nexts[parent] = character
        else:
            self._branches.setdefault(parent, {})[character] = state
        return state

    def _link(self) -> None:
        """Set the fallback of each state, by rising depth."""
        for state in sorted(range(1, len(self._labels)), key=self._depths.__getitem__):
            parent = self._parents[state]
            fail = self.read(self._fails[parent], self._labels[state], 0, _nothing) if parent else 0
            self._fails[state] = fail
            self._ends[state] = self._ends[state] or self._ends[fail]
            is_inside = self._nexts[state] or state in self._branches
            self._open[state] = self._depths[state] if is_inside else self._open[fail]


def _nothing(begin: int, end: int) -> None:
    pass


class MaskedStream:
    """One text in pieces, masked exactly as the complete text would be."""

    def __init__(self, matcher: SecretMatcher) -> None:
        self._matcher = matcher
        self._state = 0
        self._emitted = 0  # characters that were returned; what is held begins there
        self._held = ""
        self._masked_to = -1
        self._found: deque[tuple[int, int]] = deque()

    def feed(self, piece: str) -> str:
        """Return the text that is certain; an end that may be the beginning of a value is held for the next piece."""
        matcher = self._matcher
        if not (self._state or self._held or matcher.may_begin(piece)):
            self._emitted += len(piece)
            return piece
        place = self._emitted + len(self._held)
        is_all_held = matcher.open_at(self._state) <= len(self._held)
        self._held += piece
        if len(piece) > matcher.longest and is_all_held and not self._found and not self._may_hold_value():
            place += len(piece) - matcher.longest
            self._state, piece = 0, piece[-matcher.longest :] if matcher.longest else ""
        self._state = matcher.read(self._state, piece, place, self._cover)
        return self._emit(self._emitted + len(self._held) - matcher.open_at(self._state))

    def finish(self) -> str:
        """Return the held rest at the end of the text."""
        rest = self._emit(self._emitted + len(self._held))
        self._state, self._masked_to = 0, -1
        return rest

    def _may_hold_value(self) -> bool:
        return self._matcher.may_hold(self._held.encode("utf-8", "surrogatepass"))

    def _cover(self, begin: int, end: int) -> None:
        while self._found and self._found[-1][1] >= begin:
            begin = min(begin, self._found.pop()[0])
        self._found.append((begin, end))

    def _emit(self, limit: int) -> str:
        parts: list[str] = []
        first = place = self._emitted
        while self._found and self._found[0][0] < limit:
            begin, end = self._found.popleft()
            parts.append(self._held[place - first : max(begin, place) - first])
            if begin > self._masked_to:
                parts.append(self._matcher.mask_text)
            place = self._masked_to = max(end, place)
        parts.append(self._held[place - first : max(limit, place) - first])
        self._emitted = max(limit, place)
        self._held = self._held[self._emitted - first :]
        return "".join(parts)


def _first_two_of(values: Iterable[str]) -> re.Pattern[str] | None:
    """Return a pattern of the first two characters of a value, or its first one at the end of a text."""
    seconds: dict[str, set[str]] = {}
    for value in values:
        seconds.setdefault(value[0], set()).add(value[1:2])
    if not seconds:
        return None
    if len(seconds) > _MOST_FIRSTS:
        return re.compile(f"[{''.join(map(re.escape, sorted(seconds)))}]")
    return re.compile("|".join(_first_and(first, seconds[first]) for first in sorted(seconds)))


def _first_and(first: str, seconds: set[str]) -> str:
    if "" in seconds:  # a value of one character
        return re.escape(first)
    return rf"{re.escape(first)}(?:[{''.join(map(re.escape, sorted(seconds)))}]|\Z)"


class _Pattern(Protocol):
    def search(self, text: bytes) -> object | None: ...


def _any_of(beginnings: set[bytes]) -> _Pattern | None:
    if not beginnings:
        return None
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1
    options.max_mem = _MATCHER_BYTES
    options.never_capture = True
    options.log_errors = False
    pattern: _Pattern = re2.compile(b"|".join(map(re2.escape, sorted(beginnings))), options)
    return pattern
