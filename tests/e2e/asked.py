"""The requests that the provider got, as far as the tests read them."""

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, JsonValue


class AskedMessage(BaseModel):
    """One message of a request."""

    model_config = ConfigDict(frozen=True)

    role: str
    content: JsonValue = None
    tool_calls: tuple[dict[str, Any], ...] = ()
    tool_call_id: str | None = None

    @property
    def text(self) -> str:
        """The content, which has to be a text."""
        assert isinstance(self.content, str)
        return self.content


class Asked(BaseModel):
    """One request."""

    model_config = ConfigDict(frozen=True)

    messages: tuple[AskedMessage, ...]
    tools: tuple[dict[str, Any], ...] = ()

    @property
    def system(self) -> str:
        """The system prompt."""
        assert self.messages[0].role == "system"
        return self.messages[0].text

    @property
    def tool_names(self) -> set[str]:
        """The names of the tools."""
        return {tool["function"]["name"] for tool in self.tools}

    @property
    def results(self) -> list[AskedMessage]:
        """The answers to tool calls."""
        return [message for message in self.messages if message.role == "tool"]

    @property
    def roles(self) -> list[str]:
        """The roles of the messages, in order."""
        return [message.role for message in self.messages]


def read_requests(requests: Iterable[Mapping[str, JsonValue]]) -> list[Asked]:
    """Return the requests, in order."""
    return [Asked.model_validate(request) for request in requests]
