"""Expands `{a,b}` and `{1..3}` in a glob, within bounds."""

import re

from .refusal import RefusedError

MAX_ALTERNATIVES = 200  # what one pattern may stand for; `{1..1000000}` is a mistake
_MAX_DEPTH = 20
_NUMBERS = re.compile(r"(-?[0-9]{1,9})\.\.(-?[0-9]{1,9})(?:\.\.-?([0-9]{1,9}))?")
_LETTERS = re.compile(r"([a-zA-Z])\.\.([a-zA-Z])")


def expand(pattern: str) -> list[str]:
    """Return the patterns that this one stands for; braces without a comma or a range stand for themselves."""
    return _Expansion(pattern).between(0, len(pattern), 0)


class _Expansion:
    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._groups = _groups(pattern)

    def between(self, start: int, end: int, depth: int) -> list[str]:
        """Return all expansions of the text between two positions."""
        made = [""]
        literal_from = position = start
        while position < end:
            group = self._groups.get(position)
            if group is None:
                position += 1
                continue
            made = self._joined(made, [self._pattern[literal_from:position]])
            made = self._joined(made, self._alternatives(position, group, depth + 1))
            literal_from = position = group[-1] + 1
        return self._joined(made, [self._pattern[literal_from:end]])

    def _alternatives(self, start: int, group: list[int], depth: int) -> list[str]:
        """Return the expansions of a group; `group` holds where its commas and its end are."""
        if depth > _MAX_DEPTH:
            raise self._refused()
        *commas, close = group
        if not commas:
            inside = self._pattern[start + 1 : close]
            return self._range(inside) or [f"{{{each}}}" for each in self.between(start + 1, close, depth)]
        starts = [start + 1, *(comma + 1 for comma in commas)]
        found: list[str] = []
        for begin, end in zip(starts, (*commas, close), strict=True):
            found += self.between(begin, end, depth)
            if len(found) > MAX_ALTERNATIVES:
                raise self._refused()
        return found

    def _range(self, inside: str) -> list[str]:
        if letters := _LETTERS.fullmatch(inside):
            first, last = map(ord, letters.groups())
            return [chr(code) for code in range(first, last + 1)] or [chr(code) for code in range(first, last - 1, -1)]
        numbers = _NUMBERS.fullmatch(inside)
        if not numbers:
            return []
        first, last, step = int(numbers[1]), int(numbers[2]), max(1, int(numbers[3] or 1))
        if abs(last - first) // step >= MAX_ALTERNATIVES:
            raise self._refused()
        is_padded = any(each.lstrip("-").startswith("0") and len(each) > 1 for each in (numbers[1], numbers[2]))
        width = max(len(numbers[1]), len(numbers[2])) if is_padded else 0
        values = range(first, last + 1, step) if first <= last else range(first, last - 1, -step)
        return [f"{value:0{width}d}" for value in values]

    def _joined(self, left: list[str], right: list[str]) -> list[str]:
        if len(left) * len(right) > MAX_ALTERNATIVES:
            raise self._refused()
        return [first + second for first in left for second in right]

    def _refused(self) -> RefusedError:
        return RefusedError(f"The glob {self._pattern[:200]} stands for too many patterns; use * instead.")


def _groups(pattern: str) -> dict[int, list[int]]:
    """Return, by where each closed brace opens, the positions of its commas and of its end."""
    found: dict[int, list[int]] = {}
    is_open: list[tuple[int, list[int]]] = []
    position = 0
    while position < len(pattern):
        sign = pattern[position]
        if sign == "{":
            is_open.append((position, []))
        elif sign == "," and is_open:
            is_open[-1][1].append(position)
        elif sign == "}" and is_open:
            start, commas = is_open.pop()
            found[start] = [*commas, position]
        position += 2 if sign == "\\" else 1
    return found
