"""The configuration selects one model, or fails with a sentence that says what is wrong."""

from collections.abc import AsyncGenerator

import pytest

from shared.config import LLMConfig
from shared.contract.message import ChatMessage, Role
from shared.contract.run import Usage
from shared.errors import ConfigurationError
from workflow.llm.factory import build_counter, build_model, resolve_model_name
from workflow.llm.model import FinishReason, ModelAnswer, ModelRequest, StreamItem
from workflow.llm.token_counter import EstimatingCounter

HERE = "tests.unit.workflow.llm.test_factory"
REQUEST = ModelRequest("", (ChatMessage(role=Role.USER, content="go"),))


class OwnModel:
    """What an embedder might bring."""

    def __init__(self, config: LLMConfig) -> None:
        self.config = config

    async def stream(self, _request: ModelRequest) -> AsyncGenerator[StreamItem, None]:
        yield ModelAnswer(f"own {self.config.max_output_tokens}", (), FinishReason.STOP, Usage())


def no_model(_config: LLMConfig) -> str:
    return "not a model"


NOT_CALLABLE = 1


@pytest.mark.parametrize(
    ("env", "name"),
    [
        ({}, "offline/demo"),
        ({"ANTHROPIC_API_KEY": ""}, "offline/demo"),
        ({"OPENAI_API_KEY": "k"}, "openai/gpt-5.5"),
        ({"OPENAI_API_KEY": "k", "ANTHROPIC_API_KEY": "k"}, "anthropic/claude-sonnet-5-5"),
    ],
    ids=["no key", "empty key", "openai", "both"],
)
def test_auto_goes_by_the_key_that_is_set(env: dict[str, str], name: str) -> None:
    assert resolve_model_name(LLMConfig(), env) == name


def test_auto_with_an_address_asks_for_a_model_name() -> None:
    with pytest.raises(ConfigurationError, match=r"Set llm\.model"):
        build_model(LLMConfig(base_url="http://127.0.0.1:1/v1"), {})


async def test_a_custom_model_is_loaded_by_name() -> None:
    model = build_model(LLMConfig(model=f"python:{HERE}:OwnModel", max_output_tokens=7), {})
    (answer,) = [item async for item in model.stream(REQUEST)]
    assert isinstance(answer, ModelAnswer)
    assert answer.text == "own 7"


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("no.such.module:Model", "No module named 'no'"),
        (f"{HERE}:Missing", "Missing"),
        (HERE, "python:package.module:callable"),
        ("", "python:package.module:callable"),
        (f"{HERE}:NOT_CALLABLE", "is not callable"),
        (f"{HERE}:no_model", "returned str, which has no stream method"),
    ],
)
def test_a_name_that_cannot_be_loaded_is_explained(target: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        build_model(LLMConfig(model=f"python:{target}"), {})


def test_the_tokens_of_a_custom_model_are_estimated() -> None:
    counter = build_counter(LLMConfig(model=f"python:{HERE}:OwnModel", context_window=1234), {})
    assert isinstance(counter, EstimatingCounter)
    assert counter.context_window == 1234


@pytest.mark.parametrize("name", ["anthropic/claude-sonnet-5-5", "openai/gpt-5.5"])
def test_the_models_of_auto_are_in_the_price_table(name: str) -> None:
    assert build_counter(LLMConfig(model=name), {}).context_window > 200_000


@pytest.mark.parametrize(
    "config",
    [
        LLMConfig(provider="python", model=f"{HERE}:OwnModel"),
        LLMConfig(provider="python", model=f"python:{HERE}:OwnModel"),
    ],
    ids=["name alone", "with prefix"],
)
async def test_a_provider_that_is_named_takes_the_model_as_it_is(config: LLMConfig) -> None:
    (answer,) = [item async for item in build_model(config, {"OPENAI_API_KEY": "k"}).stream(REQUEST)]
    assert isinstance(answer, ModelAnswer)
    assert answer.text == "own 8192"


async def test_the_offline_provider_answers_whatever_the_model_is_called() -> None:
    config = LLMConfig(provider="offline", model="openai/gpt-5.5", native_tool_calling=False)
    *_, answer = [item async for item in build_model(config, {"OPENAI_API_KEY": "k"}).stream(REQUEST)]
    assert isinstance(answer, ModelAnswer)


def test_litellm_by_name_needs_the_name_of_a_model() -> None:
    with pytest.raises(ConfigurationError, match=r"Set llm\.model to a name"):
        build_model(LLMConfig(provider="litellm"), {"OPENAI_API_KEY": "k"})
