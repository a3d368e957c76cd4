"""Masks the worker's own secrets (known values only) in what runs write, and so in what models are sent."""

from collections.abc import Iterable, Sequence, Set
from dataclasses import replace
from typing import Final

import orjson
from pydantic import JsonValue

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
