"""ScriptedModel: replays answers and errors in order, records the requests, fails when exhausted."""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass

from pydantic import JsonValue

from shared.contract.message import ToolCall
from shared.contract.run import Usage
from workflow.errors import ModelError
from workflow.llm.model import FinishReason, ModelAnswer, ModelRequest, StreamItem, TextDelta

DEFAULT_USAGE = Usage(input_tokens=10, output_tokens=5)


@dataclass(frozen=True, slots=True)
class Reply:
    """One model call: items that are streamed, then the answer, the error, or silence for ever."""

    deltas: tuple[StreamItem, ...] = ()
    answer: ModelAnswer | None = None
    error: ModelError | None = None
    until: asyncio.Event | None = None


Script = Reply | Callable[[ModelRequest], Reply]


def says(text: str, *, finish_reason: FinishReason = FinishReason.STOP, usage: Usage = DEFAULT_USAGE) -> Reply:
    """Return a reply of text alone, streamed word by word; empty text streams nothing."""
    return Reply(deltas=_words(text), answer=ModelAnswer(text, (), finish_reason, usage))


def calls(*wanted: tuple[str, dict[str, JsonValue] | str], text: str = "", usage: Usage = DEFAULT_USAGE) -> Reply:
    """Return a reply that calls tools, each (name, arguments); arguments as text are passed as they are.

    Call ids are `call_{name}_{index}`, the same each time: give ToolCall objects to `Reply` for others.
    """
    tool_calls = tuple(
        ToolCall(
            call_id=f"call_{name}_{index}",
            name=name,
            arguments=arguments if isinstance(arguments, str) else json.dumps(arguments),
        )
        for index, (name, arguments) in enumerate(wanted)
    )
    return Reply(deltas=_words(text), answer=ModelAnswer(text, tool_calls, FinishReason.TOOL_CALLS, usage))


def fails(error: ModelError, *, after: str = "") -> Reply:
    """Return a reply that raises, after streaming some text if any is given."""
    return Reply(deltas=_words(after), error=error)


def hangs(*, after: str = "") -> Reply:
    """Return a reply that never ends by itself: only closing or cancelling it does."""
    return Reply(deltas=_words(after))


def waits(until: asyncio.Event, then: Reply) -> Reply:
    """Return the reply with its end held back until the event is set; its deltas come at once."""
    return Reply(deltas=then.deltas, answer=then.answer, error=then.error, until=until)


def _words(text: str) -> tuple[StreamItem, ...]:
    return tuple(TextDelta(word) for word in text.split(" ") for word in (word, " "))[:-1] if text else ()


class ScriptedModel:
    """A Model that plays a script; `requests` are its requests, `closed` counts streams that were closed early."""

    def __init__(self, script: Sequence[Script]) -> None:
        self.script = tuple(script)
        self.requests: list[ModelRequest] = []
        self.closed = 0
        self.answering = asyncio.Event()

    @property
    def unused(self) -> int:
        """How many replies of the script were never asked for."""
        return len(self.script) - len(self.requests)

    async def stream(self, request: ModelRequest) -> AsyncGenerator[StreamItem, None]:
        reply = self._next_reply(request)
        ended = False
        try:
            for delta in reply.deltas:
                yield delta
            self.answering.set()
            if reply.until is not None:
                await reply.until.wait()
            ended = True
            if reply.error is not None:
                raise reply.error
            if reply.answer is not None:
                yield reply.answer
            else:
                ended = False
                await asyncio.Event().wait()
        finally:
            self.closed += not ended

    def _next_reply(self, request: ModelRequest) -> Reply:
        position = len(self.requests)
        self.requests.append(request)
        if position >= len(self.script):
            last = request.messages[-1] if request.messages else None
            raise AssertionError(
                f"ScriptedModel has {len(self.script)} replies but was asked {position + 1} times; "
                f"the last message of the request was: {last!r}"
            )
        reply = self.script[position]
        return reply(request) if callable(reply) else reply
