"""Masks the worker's own secrets (known values only) in what runs write, and so in what models are sent.

`SecretMask` masks complete values, `PieceMask` streamed text, in which a secret may be split over two pieces.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from typing import Final

import orjson
from pydantic import JsonValue

from shared.contract.event import AgentExecuteData, AssistantDelta, ExecuteState, RunEvent
from shared.contract.message import ChatMessage, ContentPart
from shared.contract.run import Question
from shared.contract.secret import MASKED
from shared.contract.state import AgentState
from shared.secret_matcher import MaskedStream, SecretMatcher
from shared.secret_values import secret_forms
from shared.store.run_values import RunEnd, RunWrite

# Members that a tool or a model fills, and down to which depth their field names are Baud's own.
_FOREIGN: Final = (("execute_params", 1), ("execute_result", 2))


class SecretMask:
    """Masks these values in text from models, tools and persons; ids and field names stay as they are."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._matcher = SecretMatcher(secret_forms(secrets), MASKED)
        self.is_empty = not self._matcher.values

    def text(self, text: str) -> str:
        """Return a text without secrets, also in JSON inside the text."""
        return self._matcher.mask(text)

    def begin_stream(self) -> MaskedStream:
        """Return a masker for a text that comes in pieces."""
        return MaskedStream(self._matcher)

    def event(self, data: bytes) -> bytes:
        """Return the JSON of an event without secrets."""
        if not self._matcher.may_hold(data):
            return data
        event = orjson.loads(data)
        for member, depth in _FOREIGN:
            if member in event:
                event[member] = self._value(event[member], depth)
        return orjson.dumps(event)

    def message(self, message: ChatMessage) -> ChatMessage:
        """Return a message without secrets."""
        if self.is_empty:
            return message
        content = message.content
        masked = self.text(content) if isinstance(content, str) else tuple(self._part(part) for part in content)
        calls = tuple(call.model_copy(update={"arguments": self.text(call.arguments)}) for call in message.tool_calls)
        return message.model_copy(update={"content": masked, "tool_calls": calls})

    def state(self, state: AgentState) -> AgentState:
        """Return a state without secrets."""
        if self.is_empty:
            return state
        plan = state.plan and state.plan.model_copy(
            update={"name": self.text(state.plan.name), "plan": self.text(state.plan.plan)}
        )
        todos = tuple(todo.model_copy(update={"content": self.text(todo.content)}) for todo in state.todos)
        return state.model_copy(update={"plan": plan, "todos": todos})

    def conversation(
        self, messages: Sequence[ChatMessage], state: AgentState
    ) -> tuple[Sequence[ChatMessage], AgentState]:
        """Return a conversation and its state without secrets."""
        return [self.message(message) for message in messages], self.state(state)

    def question(self, question: Question) -> Question:
        """Return a question without secrets: it repeats the arguments of a tool call."""
        options = tuple(self.text(option) for option in question.options)
        return question.model_copy(update={"question": self.text(question.question), "options": options})

    def write(self, write: RunWrite, masked: Set[int] = frozenset()) -> RunWrite:
        """Return a write without secrets; the events at these positions are masked already."""
        return replace(
            write,
            events=[event if position in masked else self.event(event) for position, event in enumerate(write.events)],
            messages=[self.message(message) for message in write.messages],
            state=write.state and self.state(write.state),
        )

    def end(self, end: RunEnd) -> RunEnd:
        """Return an end without secrets."""
        return replace(end, message=self.text(end.message), event=self.event(end.event))

    def _part(self, part: ContentPart) -> ContentPart:
        image = part.image_url and {name: self._value(value, 1) for name, value in part.image_url.items()}
        return part.model_copy(update={"text": part.text and self.text(part.text), "image_url": image})

    def _value(self, value: JsonValue, own_names: int) -> JsonValue:
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list):
            return [self._value(item, own_names) for item in value]
        if isinstance(value, dict):
            named = value.items() if own_names > 0 else ((self.text(name), item) for name, item in value.items())
            return {name: self._value(item, own_names - 1) for name, item in named}
        return value


@dataclass(slots=True)
class _Stream:
    """One streamed text, and the event of its last piece."""

    masked: MaskedStream
    last: RunEvent


class PieceMask:
    """Holds back the end of a streamed text that may be the start of a secret, until more comes or its step ends.

    `streamed_fields` says by execute_type which field of a `processing` event's result is a piece of a longer text.
    """

    def __init__(self, mask: SecretMask, streamed_fields: Callable[[], Mapping[str, str]] = dict) -> None:
        self._mask = mask
        self._streamed_fields = streamed_fields
        self._streams: dict[tuple[str, str], _Stream] = {}

    def pass_on(self, event: RunEvent) -> Sequence[RunEvent]:
        """Return the events to write instead of this one; text held back comes before other events of its step."""
        if self._mask.is_empty:
            return (event,)
        text, kind = self._text_of(event)
        if text is None:
            return (*self.finish(event.uuid), event)
        stream = self._streams.get((event.uuid, kind))
        if stream is None:
            stream = self._streams[event.uuid, kind] = _Stream(self._mask.begin_stream(), event)
        stream.last = event
        masked = stream.masked.feed(text)
        if masked is text:
            return (event,)
        return (self._with_text(event, masked),) if masked else ()

    def finish(self, uuid: str | None = None) -> list[RunEvent]:
        """Return the text held back for one step, or for all steps, whose texts have ended."""
        keys = [key for key in self._streams if uuid in (None, key[0])]
        ended = [self._streams.pop(key) for key in keys]
        held_back = [(stream.last, stream.masked.finish()) for stream in ended]
        return [self._with_text(last, text) for last, text in held_back if text]

    def _text_of(self, event: RunEvent) -> tuple[str | None, str]:
        """Return the text if the event carries a piece of a longer one, and its kind where a step has several."""
        if isinstance(event, AssistantDelta):
            return event.text, event.kind
        found = self._piece_of(event)
        return (found[2], "") if found else (None, "")

    def _piece_of(self, event: AgentExecuteData) -> tuple[str, dict[str, JsonValue], str] | None:
        """Return member, result and text, if the event carries a piece of a longer text."""
        if event.current_state is not ExecuteState.PROCESSING or not event.execute_result:
            return None
        field = self._streamed_fields().get(event.execute_type, "")
        for member, piece in event.execute_result.items():
            text = piece.get(field) if isinstance(piece, dict) else None
            return (member, piece, text) if isinstance(piece, dict) and isinstance(text, str) else None
        return None

    def _with_text(self, event: RunEvent, text: str) -> RunEvent:
        if isinstance(event, AssistantDelta):
            return event.with_text(text)
        found = self._piece_of(event)
        if found is None:
            raise ValueError("The event carries no piece of a text.")
        member, piece, _ = found
        result = {member: {**piece, self._streamed_fields()[event.execute_type]: text}}
        return event.model_copy(update={"execute_result": result})
