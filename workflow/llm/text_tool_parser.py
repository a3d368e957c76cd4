"""Splits a stream of text into what may be shown and the tool call blocks, tags cut anywhere."""

OPEN = "<tool_call>"
CLOSE = "</tool_call>"


class TextToolParser:
    """Feed it pieces; `text` is what was outside of blocks so far, `blocks` what was inside of each."""

    def __init__(self) -> None:
        self.text = ""
        self.blocks: list[str] = []
        self._held = ""  # the start of a tag perhaps, or the inside of a block that is not closed yet
        self._is_inside = False

    def feed(self, piece: str) -> str:
        """Take a piece and return what of it, and of what was held back, may be shown now."""
        self._held += piece
        shown = ""
        while True:
            tag = CLOSE if self._is_inside else OPEN
            before, found, after = self._held.partition(tag)
            if not found:
                break
            shown += self._end_section(before)
            self._held = after
            self._is_inside = not self._is_inside
        if not self._is_inside:
            keep = _length_of_tag_start(self._held, OPEN)
            cut = len(self._held) - keep
            shown += self._held[:cut]
            self._held = self._held[cut:]
        self.text += shown
        return shown

    def finish(self) -> str:
        """Say that the text has ended; a block that was never closed counts as closed."""
        rest, self._held = self._held, ""
        shown = self._end_section(rest)
        self._is_inside = False
        self.text += shown
        return shown

    def _end_section(self, section: str) -> str:
        if not self._is_inside:
            return section
        self.blocks.append(section.strip())
        return ""


def _length_of_tag_start(text: str, tag: str) -> int:
    """Return how many characters at the end of the text could be the start of the tag."""
    return next((size for size in range(min(len(tag) - 1, len(text)), 0, -1) if text.endswith(tag[:size])), 0)
