"""Fits the conversation into the model's context, and keeps every call together with its result."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from shared.contract.message import ChatMessage, Role
from workflow.errors import ContextOverflowError
from workflow.llm.model import ModelRequest
from workflow.llm.token_counter import TokenCounter

# A quick bound that needs no tokenizer: code and English take 3 to 4 characters a token.
_CHARS_PER_TOKEN: Final = 3
# The rest is left for the answer; after a refusal the count was wrong, so more is cut.
_SHARE: Final = 0.8
_SHRUNK_SHARE: Final = 0.4
# The newest messages are never cut.
_UNTOUCHED: Final = 4
_SHORT_CHARS: Final = 600
# Shorter results are not cut: the note of a cut takes room too, and nothing is cut twice.
_WORTH_CUTTING: Final = 800
# A cut of dense text saves fewer tokens than estimated; so it is counted again, at most this often.
_ROUNDS: Final = 3
# LiteLLM iterates over the messages several times on the event loop of all runs.
_MAX_MESSAGES: Final = 2000
_OFF_LOOP: Final = 500  # messages; pairing fewer takes less than a millisecond
# No tokeniser puts more into one token; a longer conversation is refused without counting.
_MAX_CHARS_PER_TOKEN: Final = 100
_LEFT_OUT: Final = "[{count} earlier messages of this conversation are left out.]"
_UNANSWERED: Final = "This call was interrupted and its outcome is unknown. Check what it did before going on."


async def fit_request(request: ModelRequest, counter: TokenCounter, *, shrink: bool = False) -> ModelRequest:
    """Return the request, with the oldest tool results cut in the middle where it would exceed the model's context.

    `shrink` cuts harder, after the provider has refused the request as too long. Raises ContextOverflowError.
    """
    if _estimate(request.messages) * _CHARS_PER_TOKEN > counter.context_window * _MAX_CHARS_PER_TOKEN:
        raise ContextOverflowError(
            f"The conversation is far longer than the model can read ({counter.context_window} tokens). Begin a new"
            " thread, or give long texts to the agent as files."
        )
    limit = int(counter.context_window * (_SHRUNK_SHARE if shrink else _SHARE))
    if not shrink and _estimate(request.messages) + len(request.system) // _CHARS_PER_TOKEN <= limit // 2:
        return request
    if shrink:
        excess = max(await counter.count_tokens(request) - limit, _estimate(request.messages) // 2)
        return replace(request, messages=_cut_old_results(request.messages, excess))
    for _ in range(_ROUNDS):
        excess = await counter.count_tokens(request) - limit
        if excess <= 0:
            break
        cut = _cut_old_results(request.messages, excess)
        if cut == request.messages:
            break
        request = replace(request, messages=cut)
    return request


async def readable_conversation(messages: Sequence[ChatMessage]) -> tuple[ChatMessage, ...]:
    """Return the newest messages, paired, and the one that began the run; long ones are paired off the event loop."""
    if len(messages) <= _OFF_LOOP:
        return pair_calls_with_answers(messages)
    return await asyncio.to_thread(_newest, tuple(messages))


def _newest(messages: tuple[ChatMessage, ...]) -> tuple[ChatMessage, ...]:
    paired = pair_calls_with_answers(messages)
    first = len(paired) - _MAX_MESSAGES
    if first <= 0:
        return paired
    # Do not cut between a call and its results.
    first = next((at for at in range(first, len(paired)) if paired[at].role is not Role.TOOL), first)
    task = next(at for at, message in enumerate(paired) if message.run_id == messages[-1].run_id)
    began = paired[task : task + 1] if task < first else ()
    note = ChatMessage(role=Role.USER, content=_LEFT_OUT.format(count=first - len(began)))
    return (note, *began, *paired[first:])


def pair_calls_with_answers(messages: Sequence[ChatMessage]) -> tuple[ChatMessage, ...]:
    """Put each call's result right after its message, in call order; a call without a result gets one.

    Some providers reuse ids in later turns: a result belongs to the newest call before it.
    """
    answers = _answers_by_use(messages)
    used: Counter[str] = Counter()
    ordered: list[ChatMessage] = []
    for message in messages:
        if message.role is Role.TOOL:
            continue
        ordered.append(message)
        for call in message.tool_calls:
            used[call.call_id] += 1
            missing = ChatMessage(role=Role.TOOL, content=_UNANSWERED, tool_call_id=call.call_id)
            ordered.append(answers.get((call.call_id, used[call.call_id]), missing))
    return tuple(ordered)


def _answers_by_use(messages: Sequence[ChatMessage]) -> dict[tuple[str, int], ChatMessage]:
    """Return the first answer to each use of a call id, counted from 1."""
    used: Counter[str] = Counter()
    answers: dict[tuple[str, int], ChatMessage] = {}
    for message in messages:
        used.update(call.call_id for call in message.tool_calls)
        if message.role is Role.TOOL and message.tool_call_id is not None:
            answers.setdefault((message.tool_call_id, max(used[message.tool_call_id], 1)), message)
    return answers


def _estimate(messages: Sequence[ChatMessage]) -> int:
    characters = 0
    for message in messages:
        characters += len(message.text()) + sum(len(call.arguments) + len(call.name) for call in message.tool_calls)
    return characters // _CHARS_PER_TOKEN


def _cut_old_results(messages: tuple[ChatMessage, ...], excess: int) -> tuple[ChatMessage, ...]:
    fitted = list(messages)
    for index, message in enumerate(fitted[:-_UNTOUCHED]):
        if excess <= 0:
            break
        text = message.text()
        if message.role is not Role.TOOL or len(text) < _WORTH_CUTTING:
            continue
        half = _SHORT_CHARS // 2
        note = f"\n[{len(text) - 2 * half} characters left out to save room; call the tool again to see them]\n"
        fitted[index] = message.model_copy(update={"content": text[:half] + note + text[-half:]})
        excess -= (len(text) - _SHORT_CHARS) // _CHARS_PER_TOKEN
    return tuple(fitted)
