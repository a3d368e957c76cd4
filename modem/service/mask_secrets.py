"""Keeps the worker's own secrets out of what runs write: exact values only, each replaced by ***."""

import re
from collections.abc import Iterable
from dataclasses import replace

import orjson
from pydantic import JsonValue

from modem.service.secret_values import MaskedStream, SecretValues
from shared.contract.message import ChatMessage, ContentPart
from shared.contract.run import Question
from shared.contract.state import AgentState
from shared.store.run_values import RunEnd

# What a tool or a model has put into an event; the rest of it is Baud's own.
_FOREIGN = ("execute_params", "execute_result")


class SecretMask:
    """Masks these values wherever a model, a tool or a person has put them; ids and machine words stay as they are."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._plain = SecretValues(secrets)
        raw = [_quoted(secret) for secret in self._plain.values]
        self._written = SecretValues([*raw, *map(_quoted, raw)])
        # A text may hold a secret as it is, and JSON that holds one.
        stages = (self._plain,) if self._written.values == self._plain.values else (self._plain, self._written)
        self.stages = stages if self._plain.values else ()
        # Looked for before anything is parsed: nearly all events hold none.
        forms = b"|".join(re.escape(value.encode()) for value in self._written.values)
        self._bytes = re.compile(forms) if forms else None

    def text(self, text: str) -> str:
        """Return a text without secrets."""
        return self._plain.mask(text)

    def foreign_text(self, text: str) -> str:
        """Return a text of a model or a tool without secrets, in JSON inside of it too."""
        for values in self.stages:
            text = values.mask(text)
        return text

    def begin_stream(self) -> MaskedStream:
        """Return what masks a foreign text that comes in pieces."""
        return MaskedStream(self.stages)

    def event(self, data: bytes) -> bytes:
        """Return the JSON of an event without secrets."""
        if self._bytes is None or not self._bytes.search(data):
            return data
        event = orjson.loads(data)
        for member in _FOREIGN:
            if member in event:
                event[member] = self._value(event[member])
        return orjson.dumps(event)

    def message(self, message: ChatMessage) -> ChatMessage:
        """Return a message without secrets."""
        if not self.stages:
            return message
        content = message.content
        masked = self.text(content) if isinstance(content, str) else tuple(self._part(part) for part in content)
        calls = tuple(
            call.model_copy(update={"arguments": self._written.mask(call.arguments)}) for call in message.tool_calls
        )
        return message.model_copy(update={"content": masked, "tool_calls": calls})

    def state(self, state: AgentState) -> AgentState:
        """Return a state without secrets."""
        if not self.stages:
            return state
        plan = state.plan and state.plan.model_copy(
            update={"name": self.text(state.plan.name), "plan": self.text(state.plan.plan)}
        )
        todos = tuple(todo.model_copy(update={"content": self.text(todo.content)}) for todo in state.todos)
        return state.model_copy(update={"plan": plan, "todos": todos})

    def question(self, question: Question) -> Question:
        """Return a question without secrets: it repeats what a model wants to call a tool with."""
        options = tuple(self.foreign_text(option) for option in question.options)
        return question.model_copy(update={"question": self.foreign_text(question.question), "options": options})

    def end(self, end: RunEnd) -> RunEnd:
        """Return an end without secrets."""
        return replace(end, message=self.text(end.message), event=self.event(end.event))

    def _part(self, part: ContentPart) -> ContentPart:
        return part.model_copy(update={"text": self.text(part.text)}) if part.text else part

    def _value(self, value: JsonValue) -> JsonValue:
        if isinstance(value, str):
            return self.foreign_text(value)
        if isinstance(value, list):
            return [self._value(item) for item in value]
        if isinstance(value, dict):
            return {name: self._value(item) for name, item in value.items()}
        return value


def _quoted(text: str) -> str:
    """Return a text as JSON writes it between quotes."""
    return orjson.dumps(text).decode()[1:-1]
