"""A Model without a provider: streams a given number of small pieces, at a given pace.

Used as `llm.model = "python:benchmarks.scripted_talker:make_talker"`; the last user message is JSON with
`deltas`, `interval_seconds`, `tool_steps`, `step_deltas`, `command` and `text`, so that one worker
serves every benchmark.
"""

import asyncio
import json
import time
from collections.abc import AsyncGenerator, Iterator
from enum import StrEnum
from typing import Any, Final

from benchmarks.stream.stamp import stamp
from benchmarks.worst_inputs import TURNS
from shared.config import LLMConfig
from shared.contract.message import Role, ToolCall
from shared.contract.run import Usage
from workflow.llm.model import FinishReason, ModelAnswer, ModelRequest, StreamItem, TextDelta

_PIECE: Final = "token "


class Text(StrEnum):
    """The text of the pieces."""

    SAME = "same"  # always the same word
    NUMBERED = "numbered"  # its number
    STAMPED = "stamped"  # the time when it was sent, and its number
    DUE = "due"  # the time when it was due, and its number: a blocked worker counts as late too


def piece(text: Text, position: int, due_ns: int = 0) -> str:
    """Return one piece; `due_ns` is the time of day at which it is due."""
    if text in (Text.STAMPED, Text.DUE):
        return stamp(due_ns if text is Text.DUE else time.time_ns(), position).decode() + " "
    return f"{position} " if text is Text.NUMBERED else _PIECE


async def pieces(script: dict[str, Any], count: int) -> AsyncGenerator[str, None]:
    """Yield the pieces when they are due; a late piece does not delay the following ones."""
    text, interval = Text(script.get("text", Text.SAME)), script.get("interval_seconds", 0)
    began, began_ns = asyncio.get_running_loop().time(), time.time_ns()
    for position in range(count):
        yield piece(text, position, began_ns + int(position * interval * 1e9))
        due = began + (position + 1) * interval
        await asyncio.sleep(max(0.0, due - asyncio.get_running_loop().time()) if interval else 0)


class ScriptedTalker:
    """Answers in `deltas` pieces; before that it makes `tool_steps` turns of one call each.

    The call is `bash` with `command`, or `todo_read`; `step_deltas` pieces go before it.
    """

    async def stream(self, request: ModelRequest) -> AsyncGenerator[StreamItem, None]:
        """Yield the pieces and the answer."""
        script = json.loads(_task_text(request))
        done = sum(1 for message in request.messages if message.role is Role.TOOL)
        calls: tuple[ToolCall, ...]
        if done <= script.get("tool_steps", 0) and script.get("tool_steps", 0):
            calls, count = (_call(done, script.get("command", "")),), script.get("step_deltas", 0)
        else:
            calls, count = (), script.get("deltas", 1)
        sent: list[str] = []
        async for text in pieces(script, count):
            sent.append(text)
            yield TextDelta(text)
        # The stamps of the complete text must not count as sent again.
        complete = "".join(sent).replace("sent:", "copy:")
        reason = FinishReason.TOOL_CALLS if calls else FinishReason.STOP
        yield ModelAnswer(complete, calls, reason, Usage(input_tokens=1, output_tokens=count))


def _call(position: int, command: str) -> ToolCall:
    work = ("bash", {"cmd": command}) if command else ("todo_read", {})
    plan = ("job_plan", {"name": "benchmark", "plan": "do the same again and again"})
    name, arguments = plan if position == 0 else work
    return ToolCall(call_id=f"call-{position}", name=name, arguments=json.dumps(arguments))


class WorstTalker(ScriptedTalker):
    """Also makes the calls of a worst input, which the last user message names as `work`.

    They are serialised beforehand: the worker is measured, not this model.
    """

    def __init__(self) -> None:
        self._turns = {name: tuple(_calls_of(name)) for name in TURNS}

    async def stream(self, request: ModelRequest) -> AsyncGenerator[StreamItem, None]:
        """Yield the next turn of the worst input, or the pieces of a talker."""
        script = json.loads(_task_text(request))
        if "work" not in script:
            async for item in super().stream(request):
                yield item
            return
        turns = self._turns[script["work"]]
        turn = sum(1 for message in request.messages if message.role is Role.ASSISTANT)
        calls = turns[turn] if turn < len(turns) else ()
        yield ModelAnswer("done", calls, FinishReason.TOOL_CALLS if calls else FinishReason.STOP, Usage())


def _task_text(request: ModelRequest) -> str:
    return next(message for message in reversed(request.messages) if message.role is Role.USER).text()


def _calls_of(name: str) -> Iterator[tuple[ToolCall, ...]]:
    """Return the turns of a worst input; the plan comes first."""
    plan = [("job_plan", {"name": "worst", "plan": name})]
    for turn, calls in enumerate((plan, *TURNS[name]())):
        yield tuple(
            ToolCall(call_id=f"call-{turn}-{number}", name=tool, arguments=json.dumps(arguments))
            for number, (tool, arguments) in enumerate(calls)
        )


def make_talker(_config: LLMConfig) -> ScriptedTalker:
    """Return the model; the configuration names this function."""
    return ScriptedTalker()


def make_worst_talker(_config: LLMConfig) -> WorstTalker:
    """Return the model that can also make worst inputs."""
    return WorstTalker()
