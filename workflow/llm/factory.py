"""Builds the Model and the TokenCounter of a configuration, by the provider that it names.

A provider is imported when it is chosen, so that a process with the offline model, or with a custom one
(`model = "python:package.module:callable"`), never imports LiteLLM.
"""

import os
from collections.abc import Mapping
from typing import Final

from shared.config import LLMConfig
from shared.errors import ConfigurationError
from shared.providers import MODELS, Providers
from workflow.llm.model import Model
from workflow.llm.provider import ModelProvider
from workflow.llm.retry import RetryingModel
from workflow.llm.text_tools import TextToolsModel
from workflow.llm.token_counter import TokenCounter

OFFLINE_MODEL: Final = "offline/demo"
# The model for `auto`: that of the first variable that is set.
AUTO_MODELS: Final[Mapping[str, str]] = {
    "ANTHROPIC_API_KEY": "anthropic/claude-sonnet-5-5",
    "OPENAI_API_KEY": "openai/gpt-5.5",
}
# The provider for `auto`: by how the model's name begins.
_PROVIDER_BY_PREFIX: Final[Mapping[str, str]] = {"offline/": "offline", "python:": "python", "": "litellm"}


def build_model(config: LLMConfig, env: Mapping[str, str], providers: Providers = MODELS) -> Model:
    """Return the model with text tools, where configured, and with retries around it.

    Raises ConfigurationError where the name cannot be resolved.
    """
    provider, config = _choose(config, env, providers)
    model = provider.build_model(config, env)
    if provider.is_complete:
        return model
    if not config.native_tool_calling:
        model = TextToolsModel(model)
    return RetryingModel(model, config)


def build_counter(config: LLMConfig, env: Mapping[str, str], providers: Providers = MODELS) -> TokenCounter:
    """Return the token counter of this model. Raises ConfigurationError."""
    provider, config = _choose(config, env, providers)
    return provider.build_counter(config, env)


def warm_up(config: LLMConfig, env: Mapping[str, str], providers: Providers = MODELS) -> None:
    """Import what the first call of this model would import; blocks for a second or two.

    Raises ConfigurationError.
    """
    provider, _ = _choose(config, env, providers)
    provider.warm_up()


def resolve_model_name(config: LLMConfig, env: Mapping[str, str]) -> str:
    """Return the name with its provider, `auto` resolved by the keys in the environment."""
    if config.model == "auto":
        return _automatic_name(config, env)
    return config.model


def _choose(config: LLMConfig, env: Mapping[str, str], providers: Providers) -> tuple[ModelProvider, LLMConfig]:
    """Return the provider, and the configuration with the model's name as the provider is to take it."""
    name = config.provider
    if name == "auto":
        config = config.model_copy(update={"model": resolve_model_name(config, env)})
        name = next(provider for prefix, provider in _PROVIDER_BY_PREFIX.items() if config.model.startswith(prefix))
    if name == "litellm":
        # LiteLLM downloads prices while it is imported, unless this is set.
        os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    provider: ModelProvider = providers.make(name)
    return provider, config


def _automatic_name(config: LLMConfig, env: Mapping[str, str]) -> str:
    if config.base_url:
        raise ConfigurationError(
            "llm.base_url is set but llm.model is auto. Set llm.model to a name that this server knows."
        )
    return next((model for variable, model in AUTO_MODELS.items() if env.get(variable)), OFFLINE_MODEL)
