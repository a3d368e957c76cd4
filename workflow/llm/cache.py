"""Prompt cache marks for providers that want them: on the tools, the system prompt and the newest messages."""

from collections.abc import Sequence

from workflow.llm.openai_format import JsonObject

MAX_END_MARKS = 2  # Anthropic accepts four marks in all; the tools and the system prompt have one each


def wants_cache_marks(model: str) -> bool:
    """Whether the model's provider caches only what is marked; the others cache by themselves."""
    return "claude" in model.lower()


def mark_last_tool(tools: Sequence[JsonObject]) -> list[JsonObject]:
    """Return the tools with a mark on the last: a mark covers everything up to it."""
    return [*tools[:-1], _marked(tools[-1])] if tools else []


def mark_messages(messages: Sequence[JsonObject]) -> list[JsonObject]:
    """Return the messages with marks on the system prompt and on the end of the conversation.

    Two marks at the end: the next call, whose conversation has grown by an answer and its results,
    finds the last mark of this one again.
    """
    newest = [index for index, message in enumerate(messages) if message["role"] in ("user", "tool")][-MAX_END_MARKS:]
    return [
        _marked_message(message) if index in newest or message["role"] == "system" else message
        for index, message in enumerate(messages)
    ]


def _marked_message(message: JsonObject) -> JsonObject:
    content = message["content"]
    if not isinstance(content, list):
        return _marked(message)
    *head, last = content
    return {**message, "content": [*head, _marked(last) if isinstance(last, dict) else last]}


def _marked(item: JsonObject) -> JsonObject:
    return {**item, "cache_control": {"type": "ephemeral"}}
