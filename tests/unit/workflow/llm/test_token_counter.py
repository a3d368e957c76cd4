"""Tokens are counted without network access, whatever the model."""

import pytest

from shared.config import LLMConfig
from shared.contract.message import ChatMessage, ContentPart, Role, ToolCall
from workflow.llm.litellm.usage import LiteLLMCounter, to_usage
from workflow.llm.model import ModelRequest, ToolSpec
from workflow.llm.token_counter import DEFAULT_CONTEXT_WINDOW, EstimatingCounter, TokenCounter

CONFIG = LLMConfig()
IMAGE = ContentPart(type="image_url", image_url={"url": "https://example.invalid/a.png"})


def counters() -> list[TokenCounter]:
    models = ("openai/gpt-5.5", "anthropic/claude-sonnet-5-5", "openai/unheard-of")
    return [EstimatingCounter(CONFIG), *(LiteLLMCounter(CONFIG, model) for model in models)]


def request_of(text: str) -> ModelRequest:
    return ModelRequest("Be brief.", (ChatMessage(role=Role.USER, content=text),))


async def test_a_text_of_known_length_is_counted_roughly_right() -> None:
    for counter in counters():
        assert 700 < await counter.count_tokens(request_of("word " * 1000)) < 2500


async def test_everything_of_a_request_counts() -> None:
    tool = ToolSpec("ls", "List a folder. " * 20, {"type": "object", "properties": {"path": {"type": "string"}}})
    call = ToolCall(call_id="c", name="ls", arguments='{"path": "a long folder name"}' * 5)
    base = request_of("go")
    more = [
        ModelRequest(base.system * 20, base.messages),
        ModelRequest(base.system, base.messages, (tool,)),
        ModelRequest(base.system, (*base.messages, ChatMessage(role=Role.ASSISTANT, tool_calls=(call,)))),
        ModelRequest(base.system, (ChatMessage(role=Role.USER, content=(ContentPart(type="text", text="go"), IMAGE)),)),
    ]
    for counter in counters():
        least = await counter.count_tokens(base)
        assert all([await counter.count_tokens(request) > least for request in more])


@pytest.mark.parametrize(
    ("model", "window"),
    [
        ("openai/gpt-4o", 128_000),
        ("openai/unheard-of", DEFAULT_CONTEXT_WINDOW),
    ],
)
def test_the_context_window_is_known_or_assumed(model: str, window: int) -> None:
    assert LiteLLMCounter(CONFIG, model).context_window == window


def test_the_configured_context_window_wins() -> None:
    config = LLMConfig(context_window=5000)
    assert LiteLLMCounter(config, "openai/gpt-4o").context_window == 5000
    assert EstimatingCounter(config).context_window == 5000


def test_no_usage_is_no_cost() -> None:
    assert to_usage(None, "openai/gpt-4o").cost_usd == 0.0
