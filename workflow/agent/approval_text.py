"""How a call is put to the person who has to agree: what will be run, both ends of it, and nothing that hides."""

import re
from typing import Final

import orjson

# As much of a call as a person reads before deciding; all of it stands in the assistant's message.
_SHOWN_CHARS: Final = 2000
# Not to be seen, although Unicode calls them letters or marks: fillers, joiners and selectors of variants.
_INVISIBLE: Final = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)


def as_run(arguments: str) -> str:
    """Return the arguments as the tool will get them: where a name stands twice, the last one counts."""
    try:
        return orjson.dumps(orjson.loads(arguments or "{}")).decode()
    except ValueError:
        return arguments


def both_ends(text: str) -> str:
    """Return a text, or its beginning and its end with a note on what is left out between, first of all a warning."""
    left_out = len(text) - _SHOWN_CHARS
    if left_out <= 0:
        return _visible(text)
    half = _SHOWN_CHARS // 2
    return (
        f"(Shown in part: {left_out} of {len(text)} characters in the middle are left out.)\n{_visible(text[:half])}"
        f"\n[{left_out} characters left out]\n{_visible(text[-half:])}"
    )


def _visible(text: str) -> str:
    """Write as JSON escapes whatever cannot be seen or turns the order of what can."""
    if text.isprintable() and not _INVISIBLE.search(text):
        return text
    return "".join(_escaped(each) if not each.isprintable() or _INVISIBLE.match(each) else each for each in text)


def _escaped(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[place]:02x}{units[place + 1]:02x}" for place in range(0, len(units), 2))
