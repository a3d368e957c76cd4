"""suggest_next_steps: one to five texts for the client."""

import pytest
from pydantic import ValidationError

from tests.fakes.fake_tool_context import FakeToolContext
from workflow.tool.suggest_next_steps import SuggestNextStepsTool


async def test_suggestions_reach_the_event_as_a_list_of_text() -> None:
    result = await FakeToolContext().call(SuggestNextStepsTool(), next_steps=["Add tests", " Deploy it "])
    assert result.result == {"tool_suggest_next_steps_result": ["Add tests", "Deploy it"]}
    assert result.execute_type is None


@pytest.mark.parametrize("steps", [[], ["x"] * 6, [" "], "x"], ids=["none", "six", "blank", "text"])
def test_other_than_one_to_five_texts_is_refused(steps: object) -> None:
    with pytest.raises(ValidationError):
        SuggestNextStepsTool.parameters.model_validate({"next_steps": steps})
