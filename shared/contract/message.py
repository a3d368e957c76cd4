"""The conversation as it is stored and as the model sees it, free of any provider's format."""

from enum import StrEnum

from pydantic import JsonValue

from shared.contract.base import Contract


class Role(StrEnum):
    """The author of a message."""

    SYSTEM = "system"  # the prompt; never stored
    USER = "user"  # a person, or a note of Baud to the model
    ASSISTANT = "assistant"  # the model
    TOOL = "tool"  # the answer to one tool call


class ToolCall(Contract):
    """One call that the model asks for; `arguments` is the JSON text as the model wrote it."""

    call_id: str
    name: str
    arguments: str


class ContentPart(Contract):
    """One part of a user message: `text`, or `image_url` (a URL or a data URL)."""

    type: str
    text: str | None = None
    image_url: dict[str, JsonValue] | None = None


class ChatMessage(Contract):
    """One message. A tool message answers exactly one call, named by `tool_call_id`."""

    role: Role
    content: str | tuple[ContentPart, ...] = ""
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None
    run_id: str | None = None
    created_at: str | None = None
    unreadable: bool | None = None  # never stored: the stored message cannot be read

    def size(self) -> int:
        """Return about how many characters the message has, images left out."""
        if isinstance(self.content, str):
            chars = len(self.content)
        else:
            chars = sum(len(part.text or "") for part in self.content)
        return chars + sum(len(call.name) + len(call.arguments) for call in self.tool_calls)

    def text(self) -> str:
        """Return the text of the message, parts joined, images left out."""
        if isinstance(self.content, str):
            return self.content
        return "\n".join(part.text for part in self.content if part.text)
