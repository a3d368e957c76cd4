"""Bounds one answer of a model, so that it can be stored and sent to providers again."""

import re
from dataclasses import replace
from typing import Final

from shared.contract.message import ToolCall
from shared.contract.run import Usage
from workflow.llm.model import MAX_ANSWER_CHARS, MAX_CALLS, FinishReason, ModelAnswer, StreamRestarted, TextDelta
from workflow.llm.whole_characters import repair
from workflow.tool.cut_output import cut_output

# Head and tail of an overlong answer are kept: all of it would fill the context of every later call.
_KEPT_CHARS: Final = 32_768
_CHARS_PER_TOKEN: Final = 4
_NAME_CHARS: Final = 64  # that every provider accepts
_ODD_IN_NAME: Final = re.compile(r"[^A-Za-z0-9_-]")
FEWER_CALLS: Final = (
    "Only the first {kept} of the {made} calls in your answer were taken: the others were too many or too long. Make"
    " them in further turns."
)


class AnswerSoFar:
    """Counts what a model streams, and cuts it off once it is too long."""

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._size = 0

    @property
    def is_too_long(self) -> bool:
        """Whether the limit is exceeded."""
        return self._size > MAX_ANSWER_CHARS

    def add(self, item: TextDelta | StreamRestarted) -> TextDelta | StreamRestarted:
        """Count an item; return it cut at the limit and valid as UTF-8."""
        if isinstance(item, StreamRestarted):
            self._pieces, self._size = [], 0
            return item
        text = item.text
        if self._size + len(text) > MAX_ANSWER_CHARS:
            text = text[: MAX_ANSWER_CHARS + 1 - self._size]
        text = repair(text)
        self._size += len(text)
        self._pieces.append(text)
        return item if text is item.text else replace(item, text=text)

    def cut_off(self) -> ModelAnswer:
        """Return the answer so far, cut, for a model that did not stop."""
        text, _ = cut_output("".join(self._pieces), _KEPT_CHARS)
        return ModelAnswer(text, (), FinishReason.LENGTH, Usage(output_tokens=self._size // _CHARS_PER_TOKEN))


def bounded_answer(answer: ModelAnswer) -> ModelAnswer:
    """Return the answer with bounded text and calls, and tool names that every provider accepts."""
    text = answer.text
    if len(text) > MAX_ANSWER_CHARS:
        text, _ = cut_output(text, _KEPT_CHARS)
    calls: list[ToolCall] = []
    size = 0
    for call in answer.tool_calls[:MAX_CALLS]:
        size += len(call.arguments)
        if size > MAX_ANSWER_CHARS:
            break
        calls.append(call.model_copy(update={"name": _plain_name(call.name), "arguments": repair(call.arguments)}))
    return replace(answer, text=repair(text), tool_calls=tuple(calls))


def _plain_name(name: str) -> str:
    return _ODD_IN_NAME.sub("_", name[:_NAME_CHARS]) or "unnamed"
