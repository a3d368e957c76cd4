"""The offline model as a LiteLLM provider: `offline/demo` plays small jobs without any key or network.

It takes the same way through LiteLLM as every other model, streams, and counts words as tokens.
"""

import re
from collections.abc import AsyncIterator
from typing import Any

from litellm.llms.custom_llm import CustomLLM
from litellm.types.utils import GenericStreamingChunk

from workflow.llm.offline_conversation import read_conversation
from workflow.llm.offline_script import Move, next_move

PROVIDER = "offline"

_PIECES = re.compile(r"\S+\s*|\s+")


class OfflineProvider(CustomLLM):
    """Answers from the conversation alone; it keeps nothing between calls."""

    async def astreaming(  # type: ignore[override]  # LiteLLM calls it as an async generator, against its annotation
        self, *, messages: list[dict[str, Any]], optional_params: dict[str, Any], **_others: Any
    ) -> AsyncIterator[GenericStreamingChunk]:
        """Stream the text of the next move word by word, then its tool call."""
        move = next_move(read_conversation(messages, optional_params.get("tools") or []))
        for piece in _PIECES.findall(move.text):
            yield _chunk(text=piece)
        if move.tool:
            yield _chunk(call=move)
        yield _chunk(finish_reason="tool_calls" if move.tool else "stop", usage=_usage(messages, move))


def _chunk(
    *, text: str = "", call: Move | None = None, finish_reason: str = "", usage: Any = None
) -> GenericStreamingChunk:
    tool_use: Any = None
    if call:
        tool_use = {
            "id": call.call_id,
            "type": "function",
            "index": 0,
            "function": {"name": call.tool, "arguments": call.arguments_json()},
        }
    return GenericStreamingChunk(
        text=text, tool_use=tool_use, is_finished=bool(finish_reason), finish_reason=finish_reason, usage=usage, index=0
    )


def _usage(messages: list[dict[str, Any]], move: Move) -> dict[str, int]:
    read = sum(len(str(message.get("content") or "").split()) for message in messages)
    written = len(move.text.split()) + (len(move.arguments_json().split()) if move.tool else 0)
    return {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}
