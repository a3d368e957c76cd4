"""Masks secrets in streamed text (model text, command output), also those that are split over two pieces."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pydantic import JsonValue

from modem.service.run_log.mask_secrets import SecretMask
from shared.contract.event import AgentExecuteData, AssistantDelta, ExecuteState, RunEvent
from shared.secret_matcher import MaskedStream

# Where a `processing` event carries a piece of a longer text: member of the result -> field in it.
_TEXTS: Final = {"tool_bash_result": "result"}


@dataclass(slots=True)
class _Stream:
    """One streamed text, and the event of its last piece."""

    masked: MaskedStream
    last: RunEvent


class PieceMask:
    """Holds back the end of a streamed text that may be the start of a secret, until more comes or its step ends."""

    def __init__(self, mask: SecretMask) -> None:
        self._mask = mask
        self._streams: dict[tuple[str, str], _Stream] = {}

    def pass_on(self, event: RunEvent) -> Sequence[RunEvent]:
        """Return the events to write instead of this one; text held back comes before other events of its step."""
        if self._mask.is_empty:
            return (event,)
        text, kind = _text_of(event)
        if text is None:
            return (*self.finish(event.uuid), event)
        stream = self._streams.get((event.uuid, kind))
        if stream is None:
            stream = self._streams[event.uuid, kind] = _Stream(self._mask.begin_stream(), event)
        stream.last = event
        masked = stream.masked.feed(text)
        if masked is text:
            return (event,)
        return (_with_text(event, masked),) if masked else ()

    def finish(self, uuid: str | None = None) -> list[RunEvent]:
        """Return the text held back for one step, or for all steps, whose texts have ended."""
        keys = [key for key in self._streams if uuid in (None, key[0])]
        ended = [self._streams.pop(key) for key in keys]
        held_back = [(stream.last, stream.masked.finish()) for stream in ended]
        return [_with_text(last, text) for last, text in held_back if text]


def _text_of(event: RunEvent) -> tuple[str | None, str]:
    """Return the text if the event carries a piece of a longer one, and its kind where a step has several."""
    if isinstance(event, AssistantDelta):
        return event.text, event.kind
    found = _piece_of(event)
    return (found[2], "") if found else (None, "")


def _piece_of(event: AgentExecuteData) -> tuple[str, dict[str, JsonValue], str] | None:
    """Return the member of the result, the piece in it and its text, if the event carries one of a longer text."""
    if event.current_state is not ExecuteState.PROCESSING or not event.execute_result:
        return None
    for member, piece in event.execute_result.items():
        text = piece.get(_TEXTS.get(member, "")) if isinstance(piece, dict) else None
        return (member, piece, text) if isinstance(piece, dict) and isinstance(text, str) else None
    return None


def _with_text(event: RunEvent, text: str) -> RunEvent:
    if isinstance(event, AssistantDelta):
        return event.with_text(text)
    found = _piece_of(event)
    if found is None:
        raise ValueError("The event carries no piece of a text.")
    member, piece, _ = found
    return event.model_copy(update={"execute_result": {member: {**piece, _TEXTS[member]: text}}})
