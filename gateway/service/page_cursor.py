"""Opaque cursors that stand for a position in a list."""

import base64
import binascii

from shared.errors import InvalidCursorError


def encode_cursor(kind: str, position: int) -> str:
    """Return the cursor for a position; `kind` keeps cursors of different lists apart."""
    return base64.urlsafe_b64encode(f"{kind}:{position}".encode()).decode().rstrip("=")


def decode_cursor(kind: str, cursor: str) -> int:
    """Return the position that a cursor stands for; raises InvalidCursorError."""
    try:
        found, _, position = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode().partition(":")
    except (binascii.Error, ValueError) as error:
        raise InvalidCursorError from error
    if found != kind or not position.isascii() or not position.isdecimal() or len(position) > 12:
        raise InvalidCursorError
    return int(position)
