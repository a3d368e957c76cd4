"""Masks what a run streams, so that a secret does not get out in two halves: text of the model, output of commands."""

from dataclasses import dataclass
from typing import Final

from pydantic import JsonValue

from modem.service.mask_secrets import SecretMask
from shared.contract.event import AgentExecuteData, ExecuteState
from shared.secret_matcher import MaskedStream

# Where a `processing` event carries a piece of a longer text: member of the result, and the field in it.
_TEXTS: Final = {"assistant_delta": "text", "tool_bash_result": "result"}


@dataclass(slots=True)
class _Stream:
    """One text, and the event that brought its last piece."""

    masked: MaskedStream
    last: AgentExecuteData


class PieceMask:
    """Holds back the end of a streamed text that may begin a secret, until more comes or its step ends."""

    def __init__(self, mask: SecretMask) -> None:
        self._mask = mask
        self._streams: dict[tuple[str, JsonValue], _Stream] = {}

    def pass_on(self, event: AgentExecuteData) -> list[AgentExecuteData]:
        """Return what goes out in an event's place; what its step held back stands before other events of the step."""
        if self._mask.is_empty:
            return [event]
        text = _text_of(event)
        if text is None:
            return [*self.finish(event.uuid), event]
        key = (event.uuid, _piece_of(event).get("kind"))
        stream = self._streams.setdefault(key, _Stream(self._mask.begin_stream(), event))
        stream.last = event
        told = stream.masked.feed(text)
        return [_with_text(event, told)] if told else []

    def finish(self, uuid: str | None = None) -> list[AgentExecuteData]:
        """Return what one step held back, or all of them: their texts have ended."""
        keys = [key for key in self._streams if uuid in (None, key[0])]
        ended = [self._streams.pop(key) for key in keys]
        rests = [(stream.last, stream.masked.finish()) for stream in ended]
        return [_with_text(last, rest) for last, rest in rests if rest]


def _text_of(event: AgentExecuteData) -> str | None:
    if event.current_state is not ExecuteState.PROCESSING or not event.execute_result:
        return None
    (member, *_) = event.execute_result
    text = _piece_of(event).get(_TEXTS.get(member, ""))
    return text if isinstance(text, str) else None


def _piece_of(event: AgentExecuteData) -> dict[str, JsonValue]:
    piece = next(iter((event.execute_result or {}).values()), None)
    return piece if isinstance(piece, dict) else {}


def _with_text(event: AgentExecuteData, text: str) -> AgentExecuteData:
    piece = _piece_of(event)
    (member, *_) = event.execute_result or {}
    if piece.get(_TEXTS[member]) == text:
        return event
    return event.model_copy(update={"execute_result": {member: {**piece, _TEXTS[member]: text}}})
