"""Events that wait to be written: adjacent deltas of one text are joined, superseded deltas are dropped."""

from collections.abc import Sequence, Set
from dataclasses import dataclass
from typing import Final

from shared.contract.event import AssistantDelta, ExecuteType, RunEvent

# Size of a delta without its text; exact enough for a threshold.
_ENVELOPE_BYTES: Final = 200
# A complete message repeats the text of its deltas; a status declares them void.
_SUPERSEDE_TEXT: Final = frozenset({ExecuteType.ASSISTANT_RESPONSE, ExecuteType.STATUS})


@dataclass(frozen=True, slots=True)
class Taken:
    """Events in wire format; with `supersedes_text` the deltas written before are superseded.

    `deltas` holds the positions of text deltas.
    """

    events: Sequence[bytes]
    deltas: Set[int]
    supersedes_text: bool


class _JoinedDelta:
    """A text delta, and the texts of the deltas joined to it."""

    __slots__ = ("first", "texts")

    def __init__(self, first: AssistantDelta) -> None:
        self.first = first
        self.texts = [first.text]

    def takes(self, other: AssistantDelta) -> bool:
        return self.first.uuid == other.uuid and self.first.kind == other.kind

    def to_json(self) -> bytes:
        return (self.first if len(self.texts) == 1 else self.first.with_text("".join(self.texts))).to_json()


class EventBuffer:
    """Keeps order; with `coalesce`, a text delta is joined to the delta before it of the same step and kind.

    With `drop`, superseded deltas are removed.
    """

    def __init__(self, *, coalesce: bool, drop: bool) -> None:
        self._coalesce = coalesce
        self._drop = drop
        self._waiting: list[bytes | _JoinedDelta] = []
        self._supersedes_text = False
        self.size_bytes = 0
        self.pieces = 0  # how many events were added since the last `take`, joined or not

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def add(self, event: RunEvent) -> None:
        """Append an event, or its text to the one before."""
        self.pieces += 1
        if isinstance(event, AssistantDelta):
            self._add_delta(event)
            return
        if event.execute_type in _SUPERSEDE_TEXT:
            self.supersede_text()
        data = event.to_json()
        self._waiting.append(data)
        self.size_bytes += len(data)

    def _add_delta(self, delta: AssistantDelta) -> None:
        self.size_bytes += len(delta.text)
        last = self._waiting[-1] if self._coalesce and self._waiting else None
        if isinstance(last, _JoinedDelta) and last.takes(delta):
            last.texts.append(delta.text)
            return
        self._waiting.append(_JoinedDelta(delta))
        self.size_bytes += _ENVELOPE_BYTES

    def supersede_text(self) -> None:
        """Drop the buffered deltas, and have the written ones removed from the stream."""
        if self._drop:
            self._waiting = [each for each in self._waiting if not isinstance(each, _JoinedDelta)]
            self._supersedes_text = True

    def take(self) -> Taken:
        """Return all events and forget them."""
        taken = [each.to_json() if isinstance(each, _JoinedDelta) else each for each in self._waiting]
        deltas = {position for position, each in enumerate(self._waiting) if isinstance(each, _JoinedDelta)}
        supersedes = self._supersedes_text
        self._waiting, self._supersedes_text, self.size_bytes, self.pieces = [], False, 0, 0
        return Taken(taken, deltas, supersedes)
