"""The offline model: `offline/demo` plays small jobs without any key, network or LiteLLM.

It streams, and counts words as tokens.
"""

import asyncio
import re
from collections.abc import AsyncGenerator

from pydantic import JsonValue

from shared.contract.message import ToolCall
from shared.contract.run import Usage
from workflow.llm.model import FinishReason, ModelAnswer, ModelRequest, StreamItem, TextDelta
from workflow.llm.offline.conversation import read_conversation
from workflow.llm.offline.script import Move, next_move
from workflow.llm.openai_format import to_openai_messages, to_openai_tools

_PIECES = re.compile(r"\S+\s*|\s+")


class OfflineModel:
    """Answers from the conversation alone; it keeps nothing between calls."""

    async def stream(self, request: ModelRequest) -> AsyncGenerator[StreamItem, None]:
        """Yield the text of the next move word by word, then the answer with its tool call."""
        messages = to_openai_messages(request)
        move = next_move(read_conversation(messages, to_openai_tools(request.tools)))
        for piece in _PIECES.findall(move.text):
            yield TextDelta(piece)
            await asyncio.sleep(0)  # give other runs a turn, as between the chunks of a provider
        calls = (ToolCall(call_id=move.call_id, name=move.tool, arguments=move.arguments_json()),) if move.tool else ()
        reason = FinishReason.TOOL_CALLS if calls else FinishReason.STOP
        yield ModelAnswer(move.text, calls, reason, _usage(messages, move))


def _usage(messages: list[dict[str, JsonValue]], move: Move) -> Usage:
    read = sum(len(str(message.get("content") or "").split()) for message in messages)
    written = len(move.text.split()) + (len(move.arguments_json().split()) if move.tool else 0)
    return Usage(input_tokens=read, output_tokens=written)
