"""Tool calls for models without native tool calling: described in the prompt, parsed from the text.

A call is `<tool_call>{"name": …, "arguments": {…}}</tool_call>`; a result goes back as a user message
with `<tool_result id="…">…</tool_result>`.
"""

import itertools
import json
import uuid
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from dataclasses import replace

import orjson

from shared.contract.message import ChatMessage, Role, ToolCall
from workflow.llm.model import (
    DROPPED_ARGUMENTS,
    MAX_ARGUMENT_CHARS,
    DeltaKind,
    FinishReason,
    Model,
    ModelAnswer,
    ModelRequest,
    StreamItem,
    StreamRestarted,
    TextDelta,
    ToolSpec,
)
from workflow.llm.text_tool_parser import CLOSE, OPEN, TextToolParser

INSTRUCTIONS = f"""

# Tools

Call a tool by writing a block like this, the JSON on its own, nothing else inside the tags:

{OPEN}
{{"name": "tool_name", "arguments": {{"parameter": "value"}}}}
{CLOSE}

Write as many blocks as you need, then end your answer: the results come in the next message, each in a
<tool_result> block. Never write a <tool_result> yourself. Arguments follow the JSON Schema of the tool.

The tools:
"""

_NAME_CHARS = 200  # of a tool's name, and of the text searched for one


class TextToolsModel:
    """Wraps a Model that is never shown `tools`; what it yields looks like native tool calling."""

    def __init__(self, inner: Model) -> None:
        self._inner = inner

    async def stream(self, request: ModelRequest) -> AsyncGenerator[StreamItem, None]:
        """Yield the text outside of call blocks, then the answer with the calls."""
        parser = TextToolParser()
        async with aclosing(self._inner.stream(_as_text(request))) as items:
            async for item in items:
                if isinstance(item, TextDelta) and item.kind is DeltaKind.CONTENT:
                    if text := parser.feed(item.text):
                        yield TextDelta(text)
                    continue
                if isinstance(item, StreamRestarted):
                    parser = TextToolParser()
                if isinstance(item, ModelAnswer):
                    if rest := parser.finish():
                        yield TextDelta(rest)
                    item = _with_calls(item, parser)
                yield item


def _with_calls(answer: ModelAnswer, parser: TextToolParser) -> ModelAnswer:
    calls = tuple(_to_call(block) for block in parser.blocks)
    reason = answer.finish_reason
    if calls and reason is FinishReason.STOP:
        reason = FinishReason.TOOL_CALLS
    return replace(answer, text=parser.text.rstrip() if calls else parser.text, tool_calls=calls, finish_reason=reason)


def _to_call(block: str) -> ToolCall:
    """Return the call; invalid JSON becomes its arguments unchanged, and the executor reports the error."""
    call_id = f"call_{uuid.uuid4().hex}"
    if len(block) > MAX_ARGUMENT_CHARS:
        return ToolCall(call_id=call_id, name=_guess_name(block[:_NAME_CHARS]), arguments=DROPPED_ARGUMENTS)
    try:
        parsed = orjson.loads(block)
        name, arguments = parsed["name"], parsed.get("arguments", {})
        text = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return ToolCall(call_id=call_id, name=_guess_name(block), arguments=block)
    return ToolCall(call_id=call_id, name=str(name)[:_NAME_CHARS], arguments=text)


def _guess_name(block: str) -> str:
    """Return what follows `"name":` in broken JSON, so that the error names the intended tool."""
    _, found, rest = block.partition('"name"')
    parts = rest.split('"', 2)
    return parts[1] if found and len(parts) > 1 else "unreadable_tool_call"


def _as_text(request: ModelRequest) -> ModelRequest:
    system = request.system
    if request.tools:
        system += INSTRUCTIONS + "\n".join(_describe(tool) for tool in request.tools)
    return ModelRequest(system=system, messages=tuple(_texts(request.messages)))


def _describe(tool: ToolSpec) -> str:
    schema = json.dumps(tool.parameters, ensure_ascii=False)
    return f"## {tool.name}\n{tool.description}\nParameters: {schema}\n"


def _texts(messages: Iterable[ChatMessage]) -> Iterable[ChatMessage]:
    # The results of one turn go back as one message: many chat templates require alternating roles.
    for is_results, group in itertools.groupby(messages, lambda message: message.role is Role.TOOL):
        if is_results:
            yield ChatMessage(role=Role.USER, content="\n".join(_result(message) for message in group))
        else:
            yield from (_without_native_calls(message) for message in group)


def _result(message: ChatMessage) -> str:
    return f'<tool_result id="{message.tool_call_id}">\n{message.text()}\n</tool_result>'


def _without_native_calls(message: ChatMessage) -> ChatMessage:
    if not message.tool_calls:
        return message
    blocks = [f"{OPEN}\n{_call_json(call)}\n{CLOSE}" for call in message.tool_calls]
    text = "\n".join(part for part in (message.text(), *blocks) if part)
    return message.model_copy(update={"content": text, "tool_calls": ()})


def _call_json(call: ToolCall) -> str:
    try:
        orjson.loads(call.arguments)
    except (ValueError, RecursionError):
        return call.arguments
    return f'{{"name": {json.dumps(call.name)}, "arguments": {call.arguments}, "id": {json.dumps(call.call_id)}}}'
