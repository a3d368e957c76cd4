"""Exact text replacement in the bytes of a UTF-8 file: what an edit must fulfil, and how line ends are kept."""

import codecs
from collections.abc import Sequence

from .folders import Folders
from .reading import PROBE_BYTES, read_bytes
from .refusal import EditError, RefusedError
from .writing import write_one

MAX_EDIT_BYTES = 16 * 1024 * 1024  # before and after; each of a hundred edits may look through all of it
_CONTEXT_LINES = 3  # enough to see that the edit landed where it should
_SNIPPET_LINES = 200
_SNIPPET_LINE_BYTES = 2000
_DECODE_BYTES = 1024 * 1024


class Replacement:
    """One edit: `old` must occur exactly once, unless `everywhere`."""

    def __init__(self, old: bytes, new: bytes, *, everywhere: bool = False) -> None:
        self.old = old
        self.new = new
        self.everywhere = everywhere


class Edited:
    """The result of edits: how often each applied, and the lines around the last changed place."""

    def __init__(self, data: bytes, counts: list[int], first_line: int, lines: list[str]) -> None:
        self.data = data
        self.counts = counts
        self.first_line = first_line
        self.lines = lines


def edit_file(folders: Folders, path: str, edits: Sequence[Replacement]) -> Edited:
    """Make all edits in a file and write it once, or none."""
    parts = folders.paths.resolve(path)
    data = read_bytes(folders, path, MAX_EDIT_BYTES + 1)
    edited = edit_text(data, edits, path)
    write_one(folders, parts, [edited.data], folders.mode_of(parts, path))
    return edited


def edit_text(data: bytes, edits: Sequence[Replacement], path: str) -> Edited:
    """Make the edits in order, each on the outcome of those before; an EditError names the first that fails."""
    _require_text(data, path)
    text = bytearray(data)
    is_crlf = _is_crlf(data)
    del data
    counts: list[int] = []
    place = (0, 0)
    for number, edit in enumerate(edits, 1):
        text, count, place = _replace(text, edit, number, is_crlf=is_crlf)
        counts.append(count)
    first_line, lines = _snippet(text, *place)
    return Edited(bytes(text), counts, first_line, lines)


def _replace(
    text: bytearray, edit: Replacement, number: int, *, is_crlf: bool
) -> tuple[bytearray, int, tuple[int, int]]:
    """Return the new text, how many places changed, and where the first of them is.

    Where every line of the file ends with CRLF, a bare LF in an edit stands for CRLF, as a model does
    not see the difference. A file that mixes both is taken literally.
    """
    old, new = edit.old, edit.new
    if not old:
        raise EditError("The text to replace is empty. Use files_creation to write a whole file.", number=number)
    if old == new:
        raise EditError("The old and the new text are the same: nothing would change.", number=number)
    if is_crlf:
        old, new = _to_crlf(old), _to_crlf(new)
    start = text.find(old)
    if start < 0:
        raise EditError(_not_found(text, old), number=number)
    if edit.everywhere:
        count = text.count(old)
        _require_size(len(text) + count * (len(new) - len(old)), number)
        return text.replace(old, new), count, (start, start + len(new))
    if text.find(old, start + len(old)) >= 0:
        raise EditError(
            f"The text to replace occurs {text.count(old)} times. Add surrounding lines until it is the only one"
            " (or use multi_edit with replace_all).",
            number=number,
        )
    _require_size(len(text) + len(new) - len(old), number)
    text[start : start + len(old)] = new
    return text, 1, (start, start + len(new))


def _require_size(size: int, number: int) -> None:
    """Refuse what an edit would make before it is made."""
    if size > MAX_EDIT_BYTES:
        raise EditError(
            f"The file would have {size} bytes, more than the {MAX_EDIT_BYTES} that an edit can make. Use bash.",
            number=number,
        )


def _require_text(data: bytes, path: str) -> None:
    if len(data) > MAX_EDIT_BYTES:
        raise RefusedError(f"{path} is larger than {MAX_EDIT_BYTES} bytes; change it with a command in bash.")
    if b"\0" in data[:PROBE_BYTES]:
        raise RefusedError(f"{path} is a binary file and cannot be edited as text.")
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:  # in pieces: decoded at once, one emoji would make it four times as large
        for begin in range(0, len(data), _DECODE_BYTES):
            decoder.decode(data[begin : begin + _DECODE_BYTES])
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        raise RefusedError(f"{path} is not UTF-8 text; convert it with iconv in bash before editing it.") from None


def _snippet(data: bytearray, start: int, end: int) -> tuple[int, list[str]]:
    """Return the number of the first line and the lines around a changed place, with a note for what is cut."""
    begin = start
    for _ in range(_CONTEXT_LINES + 1):
        begin = data.rfind(b"\n", 0, max(0, begin))
        if begin < 0:
            break
    begin += 1
    stop = end
    for _ in range(_CONTEXT_LINES + 1):
        stop = data.find(b"\n", stop) + 1
        if not stop:
            stop = len(data) + 1
            break
    lines: list[str] = []
    position = begin
    while position < stop and len(lines) < _SNIPPET_LINES:
        line_end = data.find(b"\n", position)
        line_end = len(data) if line_end < 0 else line_end
        lines.append(_shown(data[position : min(line_end, position + _SNIPPET_LINE_BYTES)], line_end - position))
        position = line_end + 1
    if position < stop:
        lines.append("[further changed lines are not shown]")
    return data.count(b"\n", 0, begin) + 1, lines


def _shown(line: bytearray, size: int) -> str:
    text = line.decode("utf-8", "replace").removesuffix("\r")
    return text if size <= _SNIPPET_LINE_BYTES else f"{text} [line cut, {size} bytes]"


def _is_crlf(data: bytes) -> bool:
    pairs = data.count(b"\r\n")
    return pairs > 0 and data.count(b"\n") == pairs


def _to_crlf(text: bytes) -> bytes:
    return text.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


def _not_found(data: bytearray, old: bytes) -> str:
    hint = "Read the file again and copy the text exactly, without the line numbers."
    if b"\n" in old and b"\r\n" in data:
        hint += " The file mixes CRLF and LF line ends; edit one line at a time."
    return f"The text to replace does not occur in the file (0 times). {hint}"
