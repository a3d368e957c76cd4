"""The Model port: one request in, text deltas and then the complete answer out."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol

from pydantic import JsonValue

from shared.contract.message import ChatMessage, ToolCall
from shared.contract.run import Usage

# Limits of one call's arguments (a file of 500 KB, escaped) and of one answer.
MAX_ARGUMENT_CHARS: Final = 1_048_576
MAX_ANSWER_CHARS: Final = 2_097_152
MAX_CALLS: Final = 128
DROPPED_ARGUMENTS: Final = '{"dropped":"too long"}'  # replaces arguments above the limit


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """A tool as it is described to the model; `parameters` is a JSON Schema."""

    name: str
    description: str
    parameters: dict[str, JsonValue]


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """One request: the system prompt, the conversation, the available tools."""

    system: str
    messages: tuple[ChatMessage, ...]
    tools: tuple[ToolSpec, ...] = ()


class DeltaKind(StrEnum):
    """What a piece of text belongs to."""

    CONTENT = "content"  # the answer
    REASONING = "reasoning"  # the model thinking aloud


@dataclass(frozen=True, slots=True)
class TextDelta:
    """A piece of streamed text."""

    text: str
    kind: DeltaKind = DeltaKind.CONTENT


class FinishReason(StrEnum):
    """Why the model stopped."""

    STOP = "stop"  # the answer is complete
    TOOL_CALLS = "tool_calls"  # it waits for tools
    LENGTH = "length"  # max_output_tokens reached
    REFUSED = "refused"  # it or its provider declined


@dataclass(frozen=True, slots=True)
class ModelAnswer:
    """The complete answer; always the last item of a stream. `usage.steps` is 0."""

    text: str
    tool_calls: tuple[ToolCall, ...]
    finish_reason: FinishReason
    usage: Usage


@dataclass(frozen=True, slots=True)
class StreamRestarted:
    """The request failed half-way and is made again: what was yielded so far is void.

    `attempt` is the number of the next attempt (the first is 1); `reason` is safe to show.
    """

    attempt: int
    reason: str


StreamItem = TextDelta | StreamRestarted | ModelAnswer


class Model(Protocol):
    """A language model."""

    def stream(self, request: ModelRequest) -> AsyncGenerator[StreamItem, None]:
        """Yield TextDelta items, a StreamRestarted where a try failed, and then exactly one ModelAnswer.

        Raises TransientModelError, PermanentModelError or ContextOverflowError. Closing the
        iterator, or cancelling the task, aborts the request.
        """
