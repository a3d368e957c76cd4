"""Events that wait to be written: adjacent deltas of one text are joined, superseded deltas are dropped."""

from collections.abc import Sequence, Set
from dataclasses import dataclass
from typing import Final

from shared.contract.event import AgentExecuteData, ExecuteState, ExecuteType

_DELTA: Final = "assistant_delta"
# Size of a delta without its text; exact enough for a threshold.
_ENVELOPE_BYTES: Final = 400
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


@dataclass(frozen=True, slots=True)
class _Delta:
    """A text delta, and the texts of the deltas joined to it."""

    event: AgentExecuteData
    kind: str
    texts: list[str]

    def to_json(self) -> bytes:
        if len(self.texts) == 1:
            return self.event.to_json()
        result = {_DELTA: {"text": "".join(self.texts), "kind": self.kind}}
        return self.event.model_copy(update={"execute_result": result}).to_json()


class EventBuffer:
    """Keeps order; with `coalesce`, a text delta is joined to the delta before it of the same step and kind.

    With `drop`, superseded deltas are removed.
    """

    def __init__(self, *, coalesce: bool, drop: bool) -> None:
        self._coalesce = coalesce
        self._drop = drop
        self._waiting: list[bytes | _Delta] = []
        self._supersedes_text = False
        self.size_bytes = 0

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def add(self, event: AgentExecuteData) -> None:
        """Append an event, or its text to the one before."""
        delta = _as_delta(event)
        if delta is None:
            if event.execute_type in _SUPERSEDE_TEXT:
                self.supersede_text()
            data = event.to_json()
            self._waiting.append(data)
            self.size_bytes += len(data)
            return
        self.size_bytes += len(delta.texts[0])
        last = self._waiting[-1] if self._waiting else None
        if self._coalesce and isinstance(last, _Delta) and last.event.uuid == event.uuid and last.kind == delta.kind:
            last.texts.append(delta.texts[0])
            return
        self._waiting.append(delta)
        self.size_bytes += _ENVELOPE_BYTES

    def supersede_text(self) -> None:
        """Drop the buffered deltas, and have the written ones removed from the stream."""
        if self._drop:
            self._waiting = [each for each in self._waiting if not isinstance(each, _Delta)]
            self._supersedes_text = True

    def take(self) -> Taken:
        """Return all events and forget them."""
        taken = [each.to_json() if isinstance(each, _Delta) else each for each in self._waiting]
        deltas = {position for position, each in enumerate(self._waiting) if isinstance(each, _Delta)}
        supersedes = self._supersedes_text
        self._waiting, self._supersedes_text, self.size_bytes = [], False, 0
        return Taken(taken, deltas, supersedes)


def _as_delta(event: AgentExecuteData) -> _Delta | None:
    is_streamed = event.execute_type == ExecuteType.ASSISTANT_DELTA and event.current_state is ExecuteState.PROCESSING
    if not is_streamed or not event.execute_result:
        return None
    delta = event.execute_result.get(_DELTA)
    if not isinstance(delta, dict):
        return None
    return _Delta(event, str(delta.get("kind", "")), [str(delta.get("text", ""))])
