"""New ids for threads and runs, and the ids that Redis gives to stream entries."""

import re
import uuid
from typing import Final, NamedTuple
from unicodedata import category

from shared.errors import InvalidStreamIdError

_STREAM_ID: Final = re.compile(r"([0-9]{1,20})(?:-([0-9]{1,20}))?")
_MAX_ID_CHARS: Final = 128
# Control characters, separators of lines and paragraphs, surrogates.
_NOT_IN_A_LINE: Final = frozenset({"Cc", "Zl", "Zp", "Cs"})
_KEY_CHARS: Final = frozenset(":{}")  # they mean something in a Redis key, so no id has them
ID_FORM: Final = f"send at most {_MAX_ID_CHARS} printable characters, and none of : {{ }}"
_MAX_PART: Final = 2**64 - 1  # Redis keeps both parts as unsigned 64-bit integers


class StreamId(NamedTuple):
    """The id of a stream entry; compares as Redis orders its entries, unlike its text."""

    milliseconds: int
    sequence: int

    def __str__(self) -> str:
        return f"{self.milliseconds}-{self.sequence}"


LAST_STREAM_ID: Final = StreamId(_MAX_PART, _MAX_PART)  # no entry can come after it


def is_id(text: str) -> bool:
    """Whether a text can be the id of a thread or of a run at all."""
    return is_plain_text(text, max_chars=_MAX_ID_CHARS) and _KEY_CHARS.isdisjoint(text)


def is_plain_text(text: str, *, max_chars: int) -> bool:
    """Whether a text has 1 to `max_chars` characters, is one line and can be encoded."""
    return 0 < len(text) <= max_chars and not any(category(char) in _NOT_IN_A_LINE for char in text)


def new_id() -> str:
    """Return a new random id: the text of a UUID."""
    return str(uuid.uuid4())


def stored_stream_id(text: str) -> StreamId:
    """Return the id of an entry as Redis gave it, `ms-seq`."""
    milliseconds, _, sequence = text.partition("-")
    return StreamId(int(milliseconds), int(sequence))


def parse_stream_id(text: str) -> StreamId:
    """Read `ms-seq`, or `ms` for `ms-0`; anything else, `$` too, raises InvalidStreamIdError."""
    match = _STREAM_ID.fullmatch(text)
    if match is None:
        raise InvalidStreamIdError
    parsed = StreamId(int(match[1]), int(match[2] or 0))
    if max(parsed) > _MAX_PART:
        raise InvalidStreamIdError
    return parsed
