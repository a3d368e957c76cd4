"""Which events of a log a client wants: by type, and with or without streamed text."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from gateway.service.stream.types import Frame
from shared.contract.event import ExecuteType
from shared.errors import InvalidRequestError

# A stream keeps its filter for as long as it is open.
_MAX_WORDS: Final = 100
_MAX_WORD_CHARS: Final = 128


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Passes entries of some types; entries that cannot be sent always pass, as control events do."""

    types: frozenset[str] | None = None  # execute_types or names of events; None: all
    has_deltas: bool = True
    keeps_final: bool = False  # for a stream that closes after a run's end

    def passes(self, frame: Frame) -> bool:
        """Whether a client with this filter gets the frame."""
        if not frame.is_usable or (self.keeps_final and frame.is_final):
            return True
        if not self.has_deltas and frame.type == ExecuteType.ASSISTANT_DELTA:
            return False
        return self.types is None or frame.type in self.types or frame.event in self.types


def parse_filter(types: Sequence[str] | None, *, has_deltas: bool) -> EventFilter | None:
    """Parse lists of types separated by commas; None when everything is wanted. Raises InvalidRequestError.

    Unknown types are accepted: a plug-in may define its own.
    """
    if types is None:
        return None if has_deltas else EventFilter(has_deltas=False)
    words = [word.strip() for text in types for word in text.split(",")]
    if not all(words):
        raise InvalidRequestError(
            "The query parameter types has an empty word: send execute_types or names of events, separated by single "
            "commas, or leave types out to get everything."
        )
    if len(words) > _MAX_WORDS or max(map(len, words)) > _MAX_WORD_CHARS:
        raise InvalidRequestError(
            f"The query parameter types may have {_MAX_WORDS} words of {_MAX_WORD_CHARS} characters at most."
        )
    return EventFilter(frozenset(words), has_deltas)
