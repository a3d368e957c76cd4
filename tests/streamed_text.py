"""What may be seen of streamed text, and what the log keeps of it: the complete message replaces the pieces."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Final, Protocol

from shared.contract.event import AgentExecuteData, ExecuteState, ExecuteType
from shared.contract.result import AssistantDeltaResult
from shared.ids import parse_stream_id

_STANDS_FOR_TEXT: Final = (ExecuteType.ASSISTANT_RESPONSE, ExecuteType.STATUS)


class Event(Protocol):
    """One event of the log, as it stands there or as a client got it."""

    @property
    def id(self) -> str:
        """Its place in the log."""

    @property
    def data(self) -> AgentExecuteData:
        """What it says."""


def is_text(event: Event) -> bool:
    """Whether this is a piece of streamed text."""
    return event.data.execute_type == ExecuteType.ASSISTANT_DELTA


def successor(piece: Event, log: Sequence[Event]) -> Event | None:
    """Return what took a piece's place: its message, a status that voids it, or the calls of an answer without text."""
    return next((event for event in log if _is_later(event, piece) and _takes_place_of(event, piece)), None)


def left_behind(log: Sequence[Event]) -> Iterator[str]:
    """Yield the pieces that the log still holds although something has taken their place."""
    for piece in filter(is_text, log):
        if successor(piece, log) is not None:
            yield f"{piece.id} is still there"


def faults_in_text(seen: Sequence[Event], log: Sequence[Event]) -> Iterator[str]:
    """Yield what is wrong with the pieces that a client saw, which had read the log from its beginning."""
    kept = {event.id for event in log}
    for (uuid, follows), group in groupby(filter(is_text, seen), key=lambda piece: _key(piece, log)):
        pieces = list(group)
        text = "".join(_content(piece) for piece in pieces)
        message = next((event for event in log if event.id == follows), None)
        if message is None:
            yield from (f"{piece.id} is gone and has no message" for piece in pieces if piece.id not in kept)
        elif message.data.execute_type == ExecuteType.ASSISTANT_RESPONSE:
            yield from _faults_against(uuid, text, message)
        elif message.data.execute_type != ExecuteType.STATUS and text.strip():
            yield f"{uuid}: {text!r} was streamed and has no message"


def _key(piece: Event, log: Sequence[Event]) -> tuple[str, str]:
    follows = successor(piece, log)
    return piece.data.uuid, follows.id if follows is not None else ""


def _faults_against(uuid: str, text: str, message: Event) -> Iterator[str]:
    complete = str((message.data.execute_result or {}).get("assistant_response_result"))
    if text and message.data.uuid != uuid:
        yield f"{uuid}: {text!r} was streamed, and the next message is another's: {complete!r}"
    elif not complete.startswith(text) and complete != text.rstrip():
        yield f"{uuid}: {text!r} is not the beginning of {complete!r}"


def _content(piece: Event) -> str:
    result = AssistantDeltaResult.model_validate((piece.data.execute_result or {})["assistant_delta"])
    return result.text if result.kind == "content" else ""


def _is_later(event: Event, piece: Event) -> bool:
    return parse_stream_id(event.id) > parse_stream_id(piece.id)


def _takes_place_of(event: Event, piece: Event) -> bool:
    if event.data.run_id != piece.data.run_id:
        return False
    return event.data.execute_type in _STANDS_FOR_TEXT or event.data.current_state is ExecuteState.INIT
