"""The text of a call that a person has to approve: parsed arguments, head and tail, invisible characters escaped."""

import re
from typing import Final

import orjson

# As much as a person reads before deciding; the assistant's message holds all of it.
_SHOWN_CHARS: Final = 2000
# Invisible, although Unicode classes them as letters or marks: fillers, joiners and variation selectors.
_INVISIBLE: Final = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)


def as_run(arguments: str) -> str:
    """Return the arguments as the tool will get them: of a duplicate name the last one counts."""
    try:
        return orjson.dumps(orjson.loads(arguments or "{}")).decode()
    except ValueError:
        return arguments


def both_ends(text: str) -> str:
    """Return a text, or a warning with its head and tail and a note of what is left out between."""
    left_out = len(text) - _SHOWN_CHARS
    if left_out <= 0:
        return _visible(text)
    half = _SHOWN_CHARS // 2
    return (
        f"(Shown in part: {left_out} of {len(text)} characters in the middle are left out.)\n{_visible(text[:half])}"
        f"\n[{left_out} characters left out]\n{_visible(text[-half:])}"
    )


def _visible(text: str) -> str:
    """Write invisible characters, and those that change the text direction, as JSON escapes."""
    if text.isprintable() and not _INVISIBLE.search(text):
        return text
    return "".join(_escaped(each) if not each.isprintable() or _INVISIBLE.match(each) else each for each in text)


def _escaped(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[place]:02x}{units[place + 1]:02x}" for place in range(0, len(units), 2))
