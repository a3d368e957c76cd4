"""Reads a part of a file: bytes from its beginning, or a range of lines, in memory that does not grow with the file."""

import os
from collections.abc import Iterator

from .folders import Folders
from .refusal import RefusedError

CHUNK_BYTES = 256 * 1024
PROBE_BYTES = 8192  # a NUL this early marks a binary file, as git and grep have it
COUNT_BYTES = 256 * 1024 * 1024  # of what follows the page; beyond it, how many lines are left is not counted
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_CONTINUATION = bytes(range(0x80, 0xC0))  # what is not the first byte of a character in UTF-8


def read_bytes(folders: Folders, path: str, max_bytes: int) -> bytes:
    """Return the first `max_bytes` bytes."""
    with open(folders.open_file(path), "rb") as file:
        return file.read(max_bytes)


def read_whole(folders: Folders, path: str, max_bytes: int) -> bytes:
    """Return all of the file; refused where it is larger."""
    with open(folders.open_file(path), "rb") as file:
        data = file.read(max_bytes + 1)
    if len(data) > max_bytes:
        raise RefusedError(f"{path} is larger than the {max_bytes} bytes that can be read at once. Use bash.")
    return data


class TextPage:
    """Lines of a file: `left` is how many follow, None where that was not counted; `total` only past the end."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.is_binary = False
        self.lines: list[str] = []
        self.left: int | None = 0
        self.total = 0


def read_lines(folders: Folders, path: str, first: int, limits: "PageLimits") -> TextPage:
    """Return lines from number `first` on; lines end with LF or CRLF, and a byte order mark is not shown."""
    with open(folders.open_file(path), "rb", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        return page_of(iter(lambda: file.read(CHUNK_BYTES), b""), size, first, limits)


class PageLimits:
    """What one page may hold; a line costs `line_overhead` characters beside its own."""

    def __init__(self, lines: int, chars: int, line_chars: int, line_overhead: int) -> None:
        self.lines = lines
        self.chars = chars
        self.line_chars = line_chars
        self.line_overhead = line_overhead


def page_of(chunks: Iterator[bytes], size: int, first: int, limits: PageLimits) -> TextPage:
    """Return the page of a file that comes in chunks."""
    page = TextPage(size)
    data = next(chunks, b"")
    if b"\0" in data[:PROBE_BYTES]:
        page.is_binary = True
        return page
    reader = _LineReader(data.removeprefix(_BYTE_ORDER_MARK), chunks)
    page.total = reader.skip(first - 1)
    if page.total == first - 1 and reader.has_more():
        _fill(page, reader, limits)
        page.left = reader.count_rest(COUNT_BYTES)
    return page


def _fill(page: TextPage, reader: "_LineReader", limits: PageLimits) -> None:
    """Add as many complete lines as fit, at least one, so that the next page begins where this one ends."""
    used = 0
    while len(page.lines) < limits.lines and reader.has_more():
        line = reader.line(limits.line_chars)
        used += len(line) + limits.line_overhead
        if used > limits.chars and page.lines:
            reader.give_back()
            return
        page.lines.append(line)


class _LineReader:
    """Lines out of chunks; only the part of a line that is shown is kept."""

    def __init__(self, data: bytes, chunks: Iterator[bytes]) -> None:
        self._data = data
        self._chunks = chunks
        self._position = 0
        self._given_back = 0

    def has_more(self) -> bool:
        """Whether anything is left."""
        while self._position >= len(self._data):
            data = next(self._chunks, b"")
            if not data:
                return self._given_back > 0
            self._data, self._position = data, 0
        return True

    def skip(self, count: int) -> int:
        """Pass over so many lines; return how many there were, an unfinished last one among them."""
        passed = 0
        while passed < count and self.has_more():
            found = self._data.count(b"\n", self._position)
            if passed + found < count:
                passed += found
                ends_open = not self._data.endswith(b"\n")
                self._position = len(self._data)
                if ends_open and not self.has_more():
                    return passed + 1
                continue
            while passed < count:
                self._position = self._data.index(b"\n", self._position) + 1
                passed += 1
        return passed

    def line(self, max_chars: int) -> str:
        """Return the next line, cut with a note where it is longer."""
        kept, chars, last = bytearray(), 0, b""
        while self.has_more():
            end = self._data.find(b"\n", self._position)
            piece = self._data[self._position : end if end >= 0 else len(self._data)]
            kept += piece[: max(0, 4 * max_chars + 4 - len(kept))]
            chars += len(piece) - _continuations(piece)
            last = piece[-1:] or last
            self._position += len(piece) + 1
            if end >= 0:
                break
        if last == b"\r":
            chars -= 1
        text = kept.decode("utf-8", "replace")
        if chars <= max_chars:
            return text.removesuffix("\r")
        return f"{text[:max_chars]} [line cut, {chars} characters]"

    def give_back(self) -> None:
        """Count the line that was read last among those that are left."""
        self._given_back = 1

    def count_rest(self, max_bytes: int) -> int | None:
        """Return how many lines are left, None where more than `max_bytes` bytes would have to be read."""
        lines, is_open, read = self._given_back, False, 0
        self._given_back = 0
        while self.has_more():
            lines += self._data.count(b"\n", self._position)
            is_open = not self._data.endswith(b"\n")
            read += len(self._data) - self._position
            self._position = len(self._data)
            if read > max_bytes:
                return None
        return lines + is_open


def _continuations(piece: bytes) -> int:
    return 0 if piece.isascii() else len(piece) - len(piece.translate(None, _CONTINUATION))
