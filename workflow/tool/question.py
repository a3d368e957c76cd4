"""The question in the result of a tool that asks the user."""

from pydantic import ValidationError

from shared.contract.run import Question, QuestionKind
from workflow.errors import ToolError
from workflow.tool.base import ToolResult

_MEMBER = "interrupt_result"


def question_of(call_id: str, result: ToolResult) -> Question:
    """Return the question that a call asks. Raises ToolError where its result holds none."""
    asked = result.result.get(_MEMBER)
    given = asked if isinstance(asked, dict) else {}
    try:
        return Question.model_validate({**given, "kind": QuestionKind.ASK_USER, "call_id": call_id})
    except ValidationError as error:
        raise ToolError(f"It asks the user, but returned no {_MEMBER} with a question and options.") from error
