"""Bounds the size of an event: long texts lose their middle; what is still too large becomes cut JSON text."""

from typing import Final

import orjson
from pydantic import JsonValue

from workflow.tool.cut_output import cut_output

MAX_EVENT_BYTES: Final = 262_144  # of arguments or of a result; sent to every client of the thread
_MAX_SHORTENED_BYTES: Final = 8_388_608  # larger ones are not shortened value by value
_SHORTEST_TEXT: Final = 256

Members = dict[str, JsonValue]


def bounded(members: Members) -> Members:
    """Return the members as they are, or shortened until they fit."""
    text = orjson.dumps(members)
    limit = MAX_EVENT_BYTES
    shortened: JsonValue = members
    while len(text) > MAX_EVENT_BYTES:
        limit //= 2
        if limit < _SHORTEST_TEXT or len(text) > _MAX_SHORTENED_BYTES:
            return _as_text(members)
        shortened = _shorten(members, limit)
        text = orjson.dumps(shortened)
    return shortened if isinstance(shortened, dict) else members


def _shorten(value: JsonValue, limit: int) -> JsonValue:
    if isinstance(value, str):
        return cut_output(value, limit)[0]
    if isinstance(value, dict):
        return {key: _shorten(each, limit) for key, each in value.items()}
    if isinstance(value, list):
        return [_shorten(each, limit) for each in value]
    return value


def _as_text(members: Members) -> Members:
    """Return each member as the head and tail of its JSON; too many members are cut as one text."""
    share = MAX_EVENT_BYTES // 8 // max(1, len(members))
    if share < _SHORTEST_TEXT:
        return {"cut": cut_output(orjson.dumps(members).decode(), MAX_EVENT_BYTES // 8)[0]}
    return {key[:_SHORTEST_TEXT]: cut_output(orjson.dumps(value).decode(), share)[0] for key, value in members.items()}
