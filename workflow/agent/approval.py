"""Which calls need a person first, what the person is asked, and what a call becomes once there is an answer."""

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
    """What is to be done about a call: make it as `call` says, or answer it with `refusal`."""

    call: ToolCall
    refusal: ToolResult | None = None


def approval_question(registered: RegisteredTool | None, call: ToolCall, answer: Answer | None) -> Question | None:
    """Return what a person has to be asked before this call, if anything; a call that is not made needs no consent."""
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
    """Return what is shown of a question; of a call with long arguments both ends. Secrets have to be masked before."""
    if question.kind is not QuestionKind.APPROVAL:
        return question
    return question.model_copy(update={"question": both_ends(question.question)})


def approval_of(call: ToolCall, answer: Answer | None) -> Approval:
    """Return what the answer makes of a call."""
    if answer is None or answer.decision is None:
        return Approval(call)
    if answer.decision is Decision.DENY:
        return Approval(call, ToolResult(f"A person denied this call. {answer.text}".strip(), is_error=True))
    if answer.arguments is None:
        return Approval(call)
    return Approval(call.model_copy(update={"arguments": orjson.dumps(answer.arguments).decode()}))


def question_of(call: ToolCall, result: ToolResult) -> Question:
    """Return the question that ask_user has made."""
    asked = result.result["interrupt_result"]
    return Question.model_validate({"kind": QuestionKind.ASK_USER, **(asked if isinstance(asked, dict) else {})})


def answered(question: Question, answer: Answer) -> ToolResult:
    """Return the result of ask_user once the user has spoken."""
    asked = question.model_dump(mode="json", exclude={"kind"}, exclude_none=True)
    return ToolResult(
        text=f"The user answered: {answer.text}",
        result={"interrupt_result": {**asked, "answer": answer.text}},
        execute_type=QuestionKind.ASK_USER,
    )
