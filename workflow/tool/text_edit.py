"""Exact text replacement: what an edit must fulfil, how line ends are kept, and what the model is shown."""

from dataclasses import dataclass
from typing import Final

from workflow.errors import ToolError

_CONTEXT_LINES: Final = 3  # enough to see that the edit landed where it should


@dataclass(frozen=True, slots=True)
class EditedText:
    """The text after an edit; `start` and `end` bound the first changed place, in characters."""

    text: str
    start: int
    end: int
    replacements: int


def replace_exactly(text: str, old: str, new: str, *, replace_all: bool = False) -> EditedText:
    """Replace `old`, which must occur exactly once unless `replace_all`; a ToolError says how often it does.

    Where every line of the text ends with CRLF, a bare LF in `old` and `new` stands for CRLF, as a
    model does not see the difference. A text that mixes both is taken literally.
    """
    if not old:
        raise ToolError("The text to replace is empty. Use files_creation to write a whole file.")
    if old == new:
        raise ToolError("The old and the new text are the same: nothing would change.")
    if _is_crlf(text):
        old, new = _to_crlf(old), _to_crlf(new)
    count = text.count(old)
    if count == 0:
        raise ToolError(_not_found(text, old))
    if count > 1 and not replace_all:
        raise ToolError(
            f"The text to replace occurs {count} times. Add surrounding lines until it is the only one"
            " (or use multi_edit with replace_all)."
        )
    start = text.find(old)
    return EditedText(text.replace(old, new), start, start + len(new), count)


def snippet(edited: EditedText) -> str:
    """Return the lines around the first changed place with their numbers."""
    lines = edited.text.split("\n")
    first = edited.text.count("\n", 0, edited.start)
    last = edited.text.count("\n", 0, edited.end)
    begin, end = max(0, first - _CONTEXT_LINES), min(len(lines), last + _CONTEXT_LINES + 1)
    return numbered([line.removesuffix("\r") for line in lines[begin:end]], begin + 1)


def numbered(lines: list[str], first_number: int) -> str:
    """Return the lines with their numbers, as `cat -n` shows them."""
    return "\n".join(f"{number:>6}\t{line}" for number, line in enumerate(lines, first_number))


def _is_crlf(text: str) -> bool:
    return "\r\n" in text and text.count("\n") == text.count("\r\n")


def _to_crlf(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\n", "\r\n")


def _not_found(text: str, old: str) -> str:
    hint = "Read the file again and copy the text exactly, without the line numbers."
    if "\r\n" in text and "\n" in old:
        hint += " The file mixes CRLF and LF line ends; edit one line at a time."
    return f"The text to replace does not occur in the file (0 times). {hint}"
