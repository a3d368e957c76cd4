"""Builds the Model and the TokenCounter of a configuration.

Adapters are named `package.module:callable` and loaded when a model is built, so that a process with the offline
model, or with a custom one (`model = "python:package.module:callable"`), never imports LiteLLM.
"""

import importlib
import os
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import SecretStr

from shared.config import LLMConfig
from shared.errors import ConfigurationError
from workflow.llm.model import Model
from workflow.llm.offline.model import OfflineModel
from workflow.llm.retry import RetryingModel
from workflow.llm.text_tools import TextToolsModel
from workflow.llm.token_counter import EstimatingCounter, TokenCounter

PYTHON_PREFIX = "python:"
OFFLINE_PREFIX = "offline/"
LITELLM_MODEL = "workflow.llm.litellm.model:LiteLLMModel"
LITELLM_COUNTER = "workflow.llm.litellm.usage:LiteLLMCounter"
LITELLM_WARM_UP = "workflow.llm.litellm.setup:import_late_modules"

PLACEHOLDER_KEY = "none"
OFFLINE_MODEL = "offline/demo"
# The model for `auto`: that of the first variable that is set.
AUTO_MODELS: Mapping[str, str] = {
    "ANTHROPIC_API_KEY": "anthropic/claude-sonnet-5-5",
    "OPENAI_API_KEY": "openai/gpt-5.5",
}


def build_model(config: LLMConfig, env: Mapping[str, str]) -> Model:
    """Return the model with text tools, where configured, and with retries around it.

    Raises ConfigurationError where the name cannot be resolved.
    """
    name = resolve_model_name(config, env)
    if name.startswith(OFFLINE_PREFIX):
        return OfflineModel()  # it has tool calls and cannot fail
    if name.startswith(PYTHON_PREFIX):
        model: Model = _call(name.removeprefix(PYTHON_PREFIX), config)
    else:
        model = _load(LITELLM_MODEL)(_with_key(config, env, name), name)
    if not config.native_tool_calling:
        model = TextToolsModel(model)
    return RetryingModel(model, config)


def build_counter(config: LLMConfig, env: Mapping[str, str]) -> TokenCounter:
    """Return the token counter of this model; an estimating one where it is not LiteLLM's."""
    name = resolve_model_name(config, env)
    if not _is_of_litellm(name):
        return EstimatingCounter(config)
    counter: TokenCounter = _load(LITELLM_COUNTER)(config, name)
    return counter


def warm_up(config: LLMConfig, env: Mapping[str, str]) -> None:
    """Import what the first call of this model would import; blocks for a second or two.

    Raises ConfigurationError.
    """
    if _is_of_litellm(resolve_model_name(config, env)):
        _load(LITELLM_WARM_UP)()


def _is_of_litellm(name: str) -> bool:
    return not name.startswith((PYTHON_PREFIX, OFFLINE_PREFIX))


def resolve_model_name(config: LLMConfig, env: Mapping[str, str]) -> str:
    """Return the name with its provider, `auto` resolved by the keys in the environment."""
    if config.model == "auto":
        return _automatic_name(config, env)
    return config.model


def _automatic_name(config: LLMConfig, env: Mapping[str, str]) -> str:
    if config.base_url:
        raise ConfigurationError(
            "llm.base_url is set but llm.model is auto. Set llm.model to a name that this server knows."
        )
    return next((model for variable, model in AUTO_MODELS.items() if env.get(variable)), OFFLINE_MODEL)


def _with_key(config: LLMConfig, env: Mapping[str, str], name: str) -> LLMConfig:
    """Return the configuration with the key that is used, so that it can be removed from error messages.

    A self-hosted server may need none, but the SDK requires one.
    """
    provider, has_provider, _ = name.partition("/")
    if config.api_key.get_secret_value() or not (has_provider or config.base_url):
        return config  # without a provider LiteLLM finds it, and its key, by the model's name
    key = env.get(f"{provider.upper()}_API_KEY" if has_provider else "OPENAI_API_KEY", "")
    if config.base_url and not key and not env.get("OPENAI_API_KEY"):
        key = PLACEHOLDER_KEY
    return config.model_copy(update={"api_key": SecretStr(key)})


def _call(target: str, config: LLMConfig) -> Any:
    model = _load(target)(config)
    if not callable(getattr(model, "stream", None)):
        raise ConfigurationError(f"llm.model: {target} returned {type(model).__name__}, which has no stream method.")
    return model


def _load(target: str) -> Callable[..., Any]:
    """Return the callable named `package.module:callable`."""
    if target.startswith("workflow.llm.litellm"):
        # LiteLLM downloads prices while it is imported, unless this is set.
        os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    module_name, _, attribute = target.partition(":")
    try:
        loaded = getattr(importlib.import_module(module_name), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigurationError(
            f"llm.model: cannot load {target!r} ({error}). Write python:package.module:callable."
        ) from error
    if not callable(loaded):
        raise ConfigurationError(f"llm.model: {target!r} is not callable.")
    return loaded  # type: ignore[no-any-return]  # checked just above; importlib knows no more
