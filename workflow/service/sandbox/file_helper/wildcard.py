"""One name against one segment of a glob (`*`, `?`, `[a-z]`), in time linear in the name."""

import re
from collections.abc import Callable

_CLASSES = {
    "alnum": "a-zA-Z0-9", "alpha": "a-zA-Z", "blank": " \\t", "digit": "0-9", "lower": "a-z", "space": "\\s",
    "upper": "A-Z", "word": "\\w", "xdigit": "0-9a-fA-F", "punct": "!-/:-@\\[-`{-~",
}  # fmt: skip
_POSIX = re.compile(r"\[:([a-z]+):\]")


def name_matcher(segment: str) -> Callable[[str], object]:
    """Return a predicate for the names that match the segment."""
    chunks = _chunks(segment)
    if len(chunks) == 1 and not any(sign in segment for sign in "?[\\"):
        return segment.__eq__
    if len(chunks) == 1:
        expression = chunks[0]
    else:
        first, *middle, last = chunks
        # What is between two stars is found as early as it can be and never looked for again: nothing backtracks.
        expression = first + "".join(f"(?>.*?{chunk})" for chunk in middle if chunk) + f".*{last}"
    return re.compile(expression, re.DOTALL).fullmatch


def _chunks(segment: str) -> list[str]:
    """Return the regular expressions of the parts between the stars."""
    chunks = [""]
    position = 0
    while position < len(segment):
        sign = segment[position]
        if sign == "*":
            chunks.append("")
            position += 1
            continue
        expression, position = _one(segment, position)
        chunks[-1] += expression
    return chunks


def _one(segment: str, position: int) -> tuple[str, int]:
    """Return the expression for the one character that stands here, and where the next begins."""
    sign = segment[position]
    if sign == "?":
        return ".", position + 1
    if sign == "\\" and position + 1 < len(segment):
        return re.escape(segment[position + 1]), position + 2
    if sign == "[":
        end = _end_of_class(segment, position)
        if end:
            return _class(segment[position + 1 : end]), end + 1
    return re.escape(sign), position + 1


def _end_of_class(segment: str, start: int) -> int:
    position = start + 1
    if segment[position : position + 1] in ("!", "^"):
        position += 1
    if segment[position : position + 1] == "]":
        position += 1
    while position < len(segment) and segment[position] != "]":
        posix = _POSIX.match(segment, position)
        position = posix.end() if posix else position + (2 if segment[position] == "\\" else 1)
    return position if position < len(segment) else 0


def _class(inside: str) -> str:
    negated = inside[:1] in ("!", "^")
    members = _members(inside[1:] if negated else inside)
    if not members:
        return "." if negated else "(?!)"
    return f"[{'^' if negated else ''}{members}]"


def _members(inside: str) -> str:
    made = ""
    position = 0
    while position < len(inside):
        posix = _POSIX.match(inside, position)
        if posix:
            made += _CLASSES.get(posix[1], "")
            position = posix.end()
            continue
        first, position = _member(inside, position)
        if inside[position : position + 1] == "-" and position + 1 < len(inside):
            last, position = _member(inside, position + 1)
            made += f"{re.escape(first)}-{re.escape(last)}" if first <= last else ""
        else:
            made += re.escape(first)
    return made


def _member(inside: str, position: int) -> tuple[str, int]:
    if inside[position] == "\\" and position + 1 < len(inside):
        position += 1
    return inside[position], position + 1
