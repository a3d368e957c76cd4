"""ask_user: a question for the client."""

import pytest
from pydantic import ValidationError

from tests.fakes.fake_tool_context import FakeToolContext, member
from workflow.tool.ask_user import MAX_OPTIONS, AskUserTool


async def test_question_goes_out_with_the_id_of_its_call() -> None:
    result = await FakeToolContext().call(AskUserTool(), question="Which one?", options=["a", "b"])
    assert result.execute_type == "ask_user"
    assert result.text == "The question was put to the user."
    assert member(result, "interrupt_result") == {"question": "Which one?", "options": ["a", "b"], "call_id": "call"}


@pytest.mark.parametrize("arguments", [{"question": " "}, {"question": "x", "options": ["y"] * (MAX_OPTIONS + 1)}])
def test_blank_question_or_too_many_options_are_refused(arguments: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        AskUserTool.parameters.model_validate(arguments)
