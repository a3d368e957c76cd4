"""Prompt cache marks stand where the next call will find them again."""

import pytest

from workflow.llm.cache import mark_last_tool, mark_messages, wants_cache_marks
from workflow.llm.openai_format import JsonObject

MARK = {"type": "ephemeral"}


def test_the_system_prompt_and_the_newest_messages_are_marked() -> None:
    messages: list[JsonObject] = [
        {"role": "system", "content": "s"},
        {"role": "user", "content": "1"},
        {"role": "assistant", "content": "2"},
        {"role": "tool", "content": "3"},
        {"role": "tool", "content": "4"},
    ]
    marked = [message.get("cache_control") for message in mark_messages(messages)]
    assert marked == [MARK, None, None, MARK, MARK]
    assert all("cache_control" not in message for message in messages)


def test_a_message_of_parts_is_marked_on_its_last_part() -> None:
    (message,) = mark_messages([{"role": "user", "content": [{"type": "text"}, {"type": "image_url"}]}])
    assert message["content"] == [{"type": "text"}, {"type": "image_url", "cache_control": MARK}]


def test_only_the_last_tool_is_marked() -> None:
    assert mark_last_tool([{"type": "a"}, {"type": "b"}]) == [{"type": "a"}, {"type": "b", "cache_control": MARK}]
    assert mark_last_tool([]) == []


@pytest.mark.parametrize(
    ("model", "expected"),
    [("anthropic/claude-sonnet-5-5", True), ("bedrock/anthropic.claude-3", True), ("openai/gpt-5.5", False)],
)
def test_marks_are_for_models_that_want_them(model: str, expected: bool) -> None:
    assert wants_cache_marks(model) is expected
