"""Page cursors."""

import base64

import pytest

from gateway.service.page_cursor import decode_cursor, encode_cursor
from shared.errors import InvalidCursorError


@pytest.mark.parametrize("position", [0, 7, 123_456])
def test_a_cursor_gives_its_position_back(position: int) -> None:
    assert decode_cursor("runs", encode_cursor("runs", position)) == position


@pytest.mark.parametrize(
    "cursor",
    ["", "!", "ü", "a", encode_cursor("messages", 3), *(base64.urlsafe_b64encode(text).decode() for text in (
        b"runs:", b"runs:-1", b"runs:x", b"runs:9999999999999", "runs:²".encode(), b"\xff",
    ))],
)  # fmt: skip
def test_a_cursor_that_was_not_given_out_is_refused(cursor: str) -> None:
    with pytest.raises(InvalidCursorError):
        decode_cursor("runs", cursor)
