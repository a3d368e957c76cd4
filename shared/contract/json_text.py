"""JSON from outside: read once, within limits, so that what is accepted can be read back unchanged."""

import json
import math
import re
from array import array
from itertools import accumulate
from typing import Any, Final

from pydantic_core import PydanticSerializationError, to_json

# Stored values are wrapped a few levels deeper; our readers stop at 200 (pydantic) and 254 (orjson).
MAX_JSON_DEPTH: Final = 100
# Each costs every reader about half a microsecond, and checking and storing it costs three.
MAX_JSON_VALUES: Final = 20_000
_MIN_INTEGER: Final = -(2**63)
_MAX_INTEGER: Final = 2**64 - 1
_INTEGER_CHARS: Final = 20  # of the smallest and the largest that are taken

# An unclosed string extends to the end of the text, so that no part of it is scanned twice.
_STRING: Final = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)
_NO_BRACKET: Final = re.compile(rb"[^\[\]{}]+")
# Without an exponent or 19 digits in a row no number exceeds its bounds, and reading is five times as fast.
_MAY_BE_TOO_LARGE: Final = re.compile(r"[0-9][eE][+-]?[0-9]|[0-9]{19}")
_SURROGATE: Final = re.compile(r"\\u[dD][89a-fA-F]")
# As signed bytes: what opens counts 1, what closes -1.
_STEPS: Final = bytes.maketrans(b"[{]}", b"\x01\x01\xff\xff")
_TOO_DEEP: Final = f"it is nested more than {MAX_JSON_DEPTH} levels deep; send a flatter value, or a text"

JsonSyntaxError = json.JSONDecodeError


class JsonTextError(ValueError):
    """The text is JSON that is not taken; the sentence says why."""


def read_json(text: str | bytes, *, unique_names: bool = False) -> Any:
    """Return the value of a JSON text; with `unique_names` an object that has a name twice is not taken.

    Raises JsonTextError for what could not be read back, JsonSyntaxError for what is no JSON.
    """
    text = _check_unicode(text)
    check_json_size(text)
    hook = _read_object if unique_names else None
    if _MAY_BE_TOO_LARGE.search(text):
        value = json.loads(
            text,
            parse_int=_read_integer,
            parse_float=_read_float,
            parse_constant=_refuse_constant,
            object_pairs_hook=hook,
        )
    else:
        value = json.loads(text, parse_constant=_refuse_constant, object_pairs_hook=hook)
    if _SURROGATE.search(text):
        try:
            to_json(value)
        except PydanticSerializationError as error:
            raise JsonSyntaxError("it holds half a character (a lone surrogate)", "", 0) from error
    return value


def check_json_size(text: str) -> None:
    """Raise JsonTextError if the text is nested too deeply or has too many values; linear, without recursion."""
    opened, commas = text.count("[") + text.count("{"), text.count(",")
    if opened <= MAX_JSON_DEPTH and opened + commas <= MAX_JSON_VALUES:
        return  # strings may hold some of these, but no more than all
    bare = _STRING.sub("", text)
    opened = bare.count("[") + bare.count("{")
    if opened - bare.count("]") - bare.count("}") > MAX_JSON_DEPTH:
        raise JsonTextError(_TOO_DEEP)
    if opened + bare.count(",") > MAX_JSON_VALUES:
        raise JsonTextError(f"it holds more than {MAX_JSON_VALUES} values; send fewer, or send them as a text")
    steps = array("b", _NO_BRACKET.sub(b"", bare.encode(errors="replace")).translate(_STEPS)[: 2 * opened])
    if max(accumulate(steps), default=0) > MAX_JSON_DEPTH:
        raise JsonTextError(_TOO_DEEP)


def _check_unicode(text: str | bytes) -> str:
    try:
        if isinstance(text, bytes):
            return text.decode()
        text.encode()
    except UnicodeError as error:
        raise JsonSyntaxError("it is not valid Unicode", "", 0) from error
    return text


def _read_object(members: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(members)
    if len(found) != len(members):
        raise JsonTextError("an object in it has a name twice")
    return found


def _read_integer(text: str) -> int:
    number = int(text) if len(text) <= _INTEGER_CHARS else _MAX_INTEGER + 1
    if not _MIN_INTEGER <= number <= _MAX_INTEGER:
        raise JsonTextError(f"the number {text[:24]} needs more than 64 bits; send it as a text")
    return number


def _read_float(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise JsonTextError(f"the number {text[:24]} is too large; send it as a text")
    return number


def _refuse_constant(text: str) -> float:
    raise JsonTextError(f"{text} is no JSON; send null or a text")
