"""A Model without a provider: says a given number of small pieces, at a given pace, and is done.

Used as `llm.model = "python:benchmarks.scripted_talker:make_talker"`; the last user message is JSON
with `deltas`, `interval_seconds`, `tool_steps`, `step_deltas` and `command`, so that one worker serves every benchmark.
"""

import asyncio
import json
from collections.abc import AsyncGenerator
from typing import Final

from shared.contract.config import LLMConfig
from shared.contract.message import Role, ToolCall
from shared.contract.run import Usage
from workflow.llm.model import FinishReason, ModelAnswer, ModelRequest, StreamItem, TextDelta

_PIECE: Final = "token "


class ScriptedTalker:
    """Answers in `deltas` pieces; before that it makes `tool_steps` turns of one call each.

    The call is `bash` with `command`, or `todo_read`; `step_deltas` pieces go before it.
    """

    async def stream(self, request: ModelRequest) -> AsyncGenerator[StreamItem, None]:
        """Yield the pieces and the answer."""
        script = json.loads(next(m for m in reversed(request.messages) if m.role is Role.USER).text())
        done = sum(1 for message in request.messages if message.role is Role.TOOL)
        calls: tuple[ToolCall, ...]
        if done <= script.get("tool_steps", 0) and script.get("tool_steps", 0):
            calls, count = (_call(done, script.get("command", "")),), script.get("step_deltas", 0)
        else:
            calls, count = (), script.get("deltas", 1)
        for _ in range(count):
            yield TextDelta(_PIECE)
            await asyncio.sleep(script.get("interval_seconds", 0))
        reason = FinishReason.TOOL_CALLS if calls else FinishReason.STOP
        yield ModelAnswer(_PIECE * count, calls, reason, Usage(input_tokens=1, output_tokens=count))


def _call(position: int, command: str) -> ToolCall:
    work = ("bash", {"cmd": command}) if command else ("todo_read", {})
    plan = ("job_plan", {"name": "benchmark", "plan": "do the same again and again"})
    name, arguments = plan if position == 0 else work
    return ToolCall(call_id=f"call-{position}", name=name, arguments=json.dumps(arguments))


def make_talker(_config: LLMConfig) -> ScriptedTalker:
    """Return the model; the adapter that the configuration names."""
    return ScriptedTalker()
