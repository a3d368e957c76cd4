"""Approval of tool calls by a person: which calls need it, the question and its text, and the effect of the answer."""

import re
from dataclasses import dataclass
from typing import Final

import orjson

from shared.contract.message import ToolCall
from shared.contract.run import Answer, Decision, Question, QuestionKind
from workflow.tool.base import ToolResult
from workflow.tool.masked_arguments import hold_mask
from workflow.tool.registry import RegisteredTool

# As much as a person reads before deciding; the assistant's message holds all of it.
_SHOWN_CHARS: Final = 2000
# Invisible, although Unicode classes them as letters or marks: fillers, joiners and variation selectors.
_INVISIBLE: Final = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)


@dataclass(frozen=True, slots=True)
class Approval:
    """The effect of an answer: make `call`, or end it with `refusal`."""

    call: ToolCall
    refusal: ToolResult | None = None


def approval_question(registered: RegisteredTool | None, call: ToolCall, answer: Answer | None) -> Question | None:
    """Return the question to ask before this call, if any; a call that will be refused needs no approval."""
    if registered is None or not registered.needs_approval or answer is not None:
        return None
    if hold_mask(registered.tool, call.arguments):
        return None
    return Question(
        kind=QuestionKind.APPROVAL,
        call_id=call.call_id,
        question=f"May the agent call {call.name} with {_as_run(call.arguments)}?",
        options=(Decision.APPROVE, Decision.DENY),
    )


def shorten(question: Question) -> Question:
    """Return the question to show; an approval with long arguments is cut to head and tail. Mask secrets before."""
    if question.kind is not QuestionKind.APPROVAL:
        return question
    return question.model_copy(update={"question": _both_ends(question.question)})


def approval_of(call: ToolCall, answer: Answer | None) -> Approval:
    """Return the effect of a person's answer on a call."""
    if answer is None or answer.decision is None:
        return Approval(call)
    if answer.decision is Decision.DENY:
        return Approval(call, ToolResult(f"A person denied this call. {answer.text}".strip(), is_error=True))
    if answer.arguments is None:
        return Approval(call)
    return Approval(call.model_copy(update={"arguments": orjson.dumps(answer.arguments).decode()}))


def answered(question: Question, answer: Answer) -> ToolResult:
    """Return the result of a tool that asked the user, with the answer."""
    asked = question.model_dump(mode="json", exclude={"kind"}, exclude_none=True)
    return ToolResult(
        text=f"The user answered: {answer.text}",
        result={"interrupt_result": {**asked, "answer": answer.text}},
        execute_type=QuestionKind.ASK_USER,
    )


def _as_run(arguments: str) -> str:
    """Return the arguments as the tool will get them: of a duplicate name the last one counts."""
    try:
        return orjson.dumps(orjson.loads(arguments or "{}")).decode()
    except ValueError:
        return arguments


def _both_ends(text: str) -> str:
    """Return a text, or a warning with its head and tail and a note of what is left out between."""
    left_out = len(text) - _SHOWN_CHARS
    if left_out <= 0:
        return _visible(text)
    half = _SHOWN_CHARS // 2
    return (
        f"(Shown in part: {left_out} of {len(text)} characters in the middle are left out.)\n{_visible(text[:half])}"
        f"\n[{left_out} characters left out]\n{_visible(text[-half:])}"
    )


def _visible(text: str) -> str:
    """Write invisible characters, and those that change the text direction, as JSON escapes."""
    if text.isprintable() and not _INVISIBLE.search(text):
        return text
    return "".join(_escaped(each) if not each.isprintable() or _INVISIBLE.match(each) else each for each in text)


def _escaped(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[place]:02x}{units[place + 1]:02x}" for place in range(0, len(units), 2))
