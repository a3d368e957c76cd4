"""Detects a model that repeats itself: the same calls again and again, empty or cut-off answers."""

from collections.abc import Sequence

from shared.contract.message import ToolCall


class LoopDetector:
    """Counts repeated calls and empty or cut-off answers in a row; tool calls reset the counts of the latter two."""

    def __init__(self, max_repeats: int, max_empty: int) -> None:
        self._max_repeats = max_repeats
        self._max_empty = max_empty
        self._last: tuple[tuple[str, str], ...] = ()
        self._repeats = 0
        self._empty = 0
        self._cut_off = 0

    def empty(self) -> str | None:
        """Count an empty answer; return why the run is stuck, once it is."""
        self._empty += 1
        if self._empty < self._max_empty:
            return None
        return f"The model gave {self._empty} answers in a row without text or a tool call."

    def cut_off(self) -> str | None:
        """Count an answer that was cut at its length limit; return why the run is stuck, once it is."""
        self._cut_off += 1
        if self._cut_off < self._max_empty:
            return None
        return f"{self._cut_off} answers in a row were cut off at llm.max_output_tokens."

    def calls(self, calls: Sequence[ToolCall]) -> tuple[str | None, bool]:
        """Count a turn of calls; return a note for the model once it repeats itself, and whether it is stuck."""
        self._empty = self._cut_off = 0
        signature = tuple((call.name, call.arguments) for call in calls)
        self._repeats = self._repeats + 1 if signature == self._last else 1
        self._last = signature
        names = ", ".join(sorted({call.name for call in calls}))
        if self._repeats >= self._max_repeats:
            return f"The model made the same call ({names}) {self._repeats} times in a row.", True
        if self._repeats >= 2 and self._repeats == self._max_repeats - 1:
            return f"You made the same call ({names}) {self._repeats} times. Do something else, or say why not.", False
        return None, False
