"""The frames between a worker and its helper: two lengths, a JSON header, bytes; bounded in both directions."""

import struct
from collections.abc import Callable

MAX_HEADER_BYTES = 4 * 1024 * 1024  # a listing of 20,000 entries; read on the worker's loop in some milliseconds
MAX_BODY_BYTES = 64 * 1024 * 1024  # the contents of one call's files
LENGTHS_BYTES = 8

_LENGTHS = struct.Struct(">II")


class FrameError(Exception):
    """The data is not a frame, or the frame is too large."""


def lengths(header_bytes: int, body_bytes: int) -> bytes:
    """Return the length prefix of a header and a body; FrameError where they are too large."""
    _check(header_bytes, body_bytes)
    return _LENGTHS.pack(header_bytes, body_bytes)


def parse_lengths(data: bytes) -> tuple[int, int]:
    """Return the sizes of header and body; FrameError where they are too large."""
    header_bytes, body_bytes = _LENGTHS.unpack(data)
    _check(header_bytes, body_bytes)
    return header_bytes, body_bytes


def read_exactly(read: Callable[[int], bytes], size: int) -> bytearray:
    """Return `size` bytes of a stream, fewer only where it ends."""
    data = bytearray()
    while len(data) < size:
        piece = read(min(size - len(data), 1 << 20))
        if not piece:
            break
        data += piece
    return data


def _check(header_bytes: int, body_bytes: int) -> None:
    if header_bytes > MAX_HEADER_BYTES or body_bytes > MAX_BODY_BYTES:
        raise FrameError(
            f"{header_bytes} and {body_bytes} bytes are more than the {MAX_HEADER_BYTES} and {MAX_BODY_BYTES} of one"
            " frame"
        )
