"""Events that wait to be written; neighbouring pieces of one text can be joined."""

from dataclasses import dataclass

from shared.contract.event import AgentExecuteData, ExecuteType

_DELTA = "assistant_delta"
# What a delta weighs beside its text; near enough for a threshold.
_ENVELOPE_BYTES = 400


@dataclass(frozen=True, slots=True)
class _Delta:
    """A text delta, and the texts of those that were joined to it."""

    event: AgentExecuteData
    kind: str
    texts: list[str]

    def to_json(self) -> bytes:
        if len(self.texts) == 1:
            return self.event.to_json()
        result = {_DELTA: {"text": "".join(self.texts), "kind": self.kind}}
        return self.event.model_copy(update={"execute_result": result}).to_json()


class EventBuffer:
    """Keeps order; with `coalesce`, a text delta is joined to the delta before it of the same step and kind."""

    def __init__(self, *, coalesce: bool) -> None:
        self._coalesce = coalesce
        self._waiting: list[bytes | _Delta] = []
        self.size_bytes = 0

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def add(self, event: AgentExecuteData) -> None:
        """Append an event, or its text to the one before."""
        delta = _as_delta(event)
        if delta is None:
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

    def take(self) -> list[bytes]:
        """Return all events as they go on the wire and forget them."""
        taken, self._waiting, self.size_bytes = self._waiting, [], 0
        return [each.to_json() if isinstance(each, _Delta) else each for each in taken]


def _as_delta(event: AgentExecuteData) -> _Delta | None:
    if event.execute_type != ExecuteType.ASSISTANT_DELTA or not event.execute_result:
        return None
    delta = event.execute_result.get(_DELTA)
    if not isinstance(delta, dict):
        return None
    return _Delta(event, str(delta.get("kind", "")), [str(delta.get("text", ""))])
