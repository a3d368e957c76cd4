"""The conversation and the tools in OpenAI's format, which LiteLLM accepts for every provider."""

from typing import Final

from pydantic import JsonValue
from pydantic_core import from_json, to_json

from shared.contract.message import ChatMessage, ContentPart, Role, ToolCall
from workflow.llm.model import ModelRequest, ToolSpec
from workflow.llm.whole_characters import repair

JsonObject = dict[str, JsonValue]

_QUOTED_CHARS: Final = 4000  # of arguments that are not a JSON object


def to_openai_messages(request: ModelRequest) -> list[JsonObject]:
    """Return the system prompt, if any, and every message."""
    system: list[JsonObject] = [{"role": "system", "content": request.system}] if request.system else []
    return system + [_message(message) for message in request.messages]


def to_openai_tools(tools: tuple[ToolSpec, ...]) -> list[JsonObject]:
    """Return the tools as functions."""
    return [
        {
            "type": "function",
            "function": {"name": tool.name, "description": tool.description, "parameters": tool.parameters},
        }
        for tool in tools
    ]


def _message(message: ChatMessage) -> JsonObject:
    converted: JsonObject = {"role": message.role.value, "content": _content(message)}
    if message.role is Role.ASSISTANT and message.tool_calls:
        converted["tool_calls"] = [_tool_call(call) for call in message.tool_calls]
        # Anthropic refuses an empty text block beside tool calls; every provider accepts null.
        converted["content"] = converted["content"] or None
    if message.role is Role.TOOL:
        converted["tool_call_id"] = message.tool_call_id
    return converted


def _content(message: ChatMessage) -> JsonValue:
    if isinstance(message.content, str):
        return message.content
    return [_part(part) for part in message.content]


def _part(part: ContentPart) -> JsonObject:
    return part.model_dump(mode="json", exclude_none=True)


def _tool_call(call: ToolCall) -> JsonObject:
    return {
        "id": call.call_id,
        "type": "function",
        "function": {"name": call.name, "arguments": _object_text(call.arguments)},
    }


def _object_text(arguments: str) -> str:
    """Return the arguments, or an object that quotes them where they are not a JSON object.

    LiteLLM parses them for some providers, and would refuse every later request of the conversation.
    """
    arguments = repair(arguments)
    try:
        if isinstance(from_json(arguments, allow_inf_nan=False), dict):
            return arguments
    except ValueError:
        pass
    return to_json({"arguments": arguments[:_QUOTED_CHARS]}).decode()
