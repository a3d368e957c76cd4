"""What one call may send of its output as it comes: a command that prints without end must not fill the event log."""

from collections.abc import Mapping
from typing import Final

from pydantic import JsonValue

LIVE_OUTPUT_CHARS: Final = 200_000  # of one call
_NO_MORE: Final = "\n[further output is not shown as it comes]\n"


class StreamedOutput:
    """Counts the text of one call in the field that its tool streams; a tool without such a field has no limit here."""

    def __init__(self, field: str) -> None:
        self._field = field
        self._left = LIVE_OUTPUT_CHARS

    def piece(self, result: Mapping[str, JsonValue]) -> Mapping[str, JsonValue] | None:
        """Return the piece as it is to be sent, the last one with a note; None once the limit is reached."""
        for member, value in result.items():
            text = value.get(self._field) if isinstance(value, dict) else None
            if isinstance(value, dict) and isinstance(text, str):
                shown = self._shown(text)
                return None if shown is None else {**result, member: {**value, self._field: shown}}
        return result

    def _shown(self, text: str) -> str | None:
        if self._left <= 0:
            return None
        shown, self._left = text[: self._left], self._left - len(text)
        return shown if self._left > 0 else shown + _NO_MORE
