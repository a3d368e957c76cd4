"""Splits streamed text into visible text and tool call blocks; a tag may be split over several pieces."""

from typing import Final

from workflow.llm.model import MAX_ARGUMENT_CHARS, MAX_CALLS

OPEN = "<tool_call>"
CLOSE = "</tool_call>"

MAX_BLOCK_CHARS: Final = MAX_ARGUMENT_CHARS + 1000  # with the name of the tool


class TextToolParser:
    """Feed it pieces; `text` is the text outside of blocks so far, `blocks` the content of each block.

    Each character is read once. A block is cut at MAX_BLOCK_CHARS; at most MAX_CALLS blocks are kept.
    """

    def __init__(self) -> None:
        self.blocks: list[str] = []
        self._text: list[str] = []
        self._held = ""  # possibly the start of a tag
        self._block: list[str] = []
        self._block_chars = 0
        self._is_inside = False

    @property
    def text(self) -> str:
        """The text outside of blocks so far."""
        return "".join(self._text)

    def feed(self, piece: str) -> str:
        """Add a piece; return the text of it, and of what was held back, that may be shown now."""
        data = self._held + piece
        shown: list[str] = []
        position = 0
        while (found := data.find(self._tag(), position)) >= 0:
            self._take(data[position:found], shown)
            position = found + len(self._tag())
            self._toggle_block()
        end = len(data) - _length_of_tag_start(data[max(position, len(data) - len(CLOSE)) :], self._tag())
        self._take(data[position:end], shown)
        self._held = data[end:]
        self._text += shown
        return "".join(shown)

    def finish(self) -> str:
        """End the text and return what was held back; an unclosed block counts as closed."""
        shown: list[str] = []
        self._take(self._held, shown)
        self._held = ""
        if self._is_inside:
            self._toggle_block()
        self._text += shown
        return "".join(shown)

    def _tag(self) -> str:
        return CLOSE if self._is_inside else OPEN

    def _take(self, section: str, shown: list[str]) -> None:
        if not self._is_inside:
            shown.append(section)
        elif self._block_chars < MAX_BLOCK_CHARS:
            self._block.append(section[: MAX_BLOCK_CHARS - self._block_chars])
            self._block_chars += len(section)

    def _toggle_block(self) -> None:
        if self._is_inside and len(self.blocks) < MAX_CALLS:
            self.blocks.append("".join(self._block).strip())
        self._block, self._block_chars = [], 0
        self._is_inside = not self._is_inside


def _length_of_tag_start(text: str, tag: str) -> int:
    """Return how many characters at the end of the text could be the start of the tag."""
    return next((size for size in range(min(len(tag) - 1, len(text)), 0, -1) if text.endswith(tag[:size])), 0)
