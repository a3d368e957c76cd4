"""Approval of tool calls by a person: which calls need it, the question, and the effect of the answer."""

from dataclasses import dataclass

import orjson

from shared.contract.message import ToolCall
from shared.contract.run import Answer, Decision, Question, QuestionKind
from workflow.agent.approval_text import as_run, both_ends
from workflow.tool.base import ToolResult
from workflow.tool.masked_arguments import hold_mask
from workflow.tool.registry import RegisteredTool


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
        question=f"May the agent call {call.name} with {as_run(call.arguments)}?",
        options=(Decision.APPROVE, Decision.DENY),
    )


def shorten(question: Question) -> Question:
    """Return the question to show; an approval with long arguments is cut to head and tail. Mask secrets before."""
    if question.kind is not QuestionKind.APPROVAL:
        return question
    return question.model_copy(update={"question": both_ends(question.question)})


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
