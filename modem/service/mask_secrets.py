"""Keeps the worker's own secrets out of what runs write: exact values only, each replaced by ***."""

import re
from collections.abc import Iterable
from dataclasses import replace

import orjson
from pydantic import JsonValue

from shared.contract.message import ChatMessage, ContentPart
from shared.contract.state import AgentState
from shared.redaction import MASK
from shared.store.run_values import RunEnd

# What a tool or a model has put into an event; the rest of it is Baud's own.
_FOREIGN = ("execute_params", "execute_result")


class SecretMask:
    """Masks these values wherever a model, a tool or a person has put them; ids and machine words stay as they are."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        longest_first = sorted(secrets, key=len, reverse=True)
        self._text = re.compile("|".join(map(re.escape, longest_first))) if longest_first else None
        # Looked for before anything is parsed: nearly all events hold none.
        raw = [orjson.dumps(secret)[1:-1] for secret in longest_first]
        nested = [orjson.dumps(orjson.dumps(secret).decode())[3:-3] for secret in longest_first]
        self._bytes = re.compile(b"|".join(map(re.escape, [*nested, *raw]))) if raw else None

    def text(self, text: str) -> str:
        """Return a text without secrets."""
        return self._text.sub(MASK, text) if self._text else text

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
        if self._text is None:
            return message
        content = message.content
        masked = self.text(content) if isinstance(content, str) else tuple(self._part(part) for part in content)
        calls = tuple(
            call.model_copy(update={"arguments": self._arguments(call.arguments)}) for call in message.tool_calls
        )
        return message.model_copy(update={"content": masked, "tool_calls": calls})

    def state(self, state: AgentState) -> AgentState:
        """Return a state without secrets."""
        if self._text is None:
            return state
        plan = state.plan and state.plan.model_copy(
            update={"name": self.text(state.plan.name), "plan": self.text(state.plan.plan)}
        )
        todos = tuple(todo.model_copy(update={"content": self.text(todo.content)}) for todo in state.todos)
        return state.model_copy(update={"plan": plan, "todos": todos})

    def end(self, end: RunEnd) -> RunEnd:
        """Return an end without secrets."""
        return replace(end, message=self.text(end.message), event=self.event(end.event))

    def _arguments(self, arguments: str) -> str:
        return self._bytes.sub(MASK.encode(), arguments.encode()).decode() if self._bytes else arguments

    def _part(self, part: ContentPart) -> ContentPart:
        return part.model_copy(update={"text": self.text(part.text)}) if part.text else part

    def _value(self, value: JsonValue) -> JsonValue:
        if isinstance(value, str):
            return self._arguments(self.text(value))
        if isinstance(value, list):
            return [self._value(item) for item in value]
        if isinstance(value, dict):
            return {name: self._value(item) for name, item in value.items()}
        return value
