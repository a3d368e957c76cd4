"""Makes foreign text safe to log: bounded in length, without characters that begin a line or control a terminal."""

from collections.abc import Mapping
from typing import Final

# Of one message, field or traceback; log collectors seldom accept longer lines.
MAX_CHARS: Final = 8192
_TAIL_CHARS: Final = MAX_CHARS // 4  # the end of a traceback says what happened
# A cut moves back to the last blank within this distance: half of a secret would not be recognised.
_WORD_CHARS: Final = 512
_MAX_ITEMS: Final = 50  # of a field that is a collection
_CONTROLS: Final[Mapping[int, str]] = {
    code: f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
    for code in (*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029, *range(0x202A, 0x202F), *range(0x2066, 0x206A))
} | {ord("\n"): "\\n", ord("\r"): "\\r", ord("\t"): "\\t"}


def cut(text: str) -> str:
    """Return the text, without its middle if it is too long."""
    if len(text) <= MAX_CHARS:
        return text
    head, tail = text[: MAX_CHARS - _TAIL_CHARS], text[-_TAIL_CHARS:]
    head = _without_last_word(head)
    tail = _without_last_word(tail[::-1])[::-1]
    return f"{head} ... [{len(text) - len(head) - len(tail)} characters left out] ... {tail}"


def cut_field(value: object) -> object:
    """Return a field cut to the length of a message; other types than text and number are written as text."""
    if value is None or isinstance(value, bool | int | float):
        return value if not isinstance(value, int) or abs(value) < 2**63 else "a number too large to log"
    if isinstance(value, str):
        return cut(value)
    if isinstance(value, list | tuple | set | frozenset | dict) and len(value) > _MAX_ITEMS:
        return f"a {type(value).__name__} of {len(value)} items"
    return cut(str(value))


def escape(text: str) -> str:
    """Return the text on one line, whatever it holds."""
    return text if text.isprintable() else text.translate(_CONTROLS)


def indent(text: str) -> str:
    """Return the lines indented, so that they cannot be mistaken for log lines."""
    return "\n".join("  " + escape(line) for line in text.split("\n"))


def _without_last_word(text: str) -> str:
    blank = max(text.rfind(" ", len(text) - _WORD_CHARS), text.rfind("\n", len(text) - _WORD_CHARS))
    return text if blank < 0 else text[:blank]
