"""The provider `litellm`: every model that LiteLLM reaches."""

from collections.abc import Mapping
from typing import Final

from pydantic import SecretStr

from shared.config import LLMConfig
from shared.errors import ConfigurationError
from workflow.llm.litellm.model import LiteLLMModel
from workflow.llm.litellm.setup import import_late_modules
from workflow.llm.litellm.usage import LiteLLMCounter
from workflow.llm.model import Model
from workflow.llm.provider import ModelProvider
from workflow.llm.token_counter import TokenCounter

_PLACEHOLDER_KEY: Final = "none"


class LiteLLMProvider(ModelProvider):
    """Makes models by `provider/name`; with `base_url` those of an OpenAI-compatible server."""

    def build_model(self, config: LLMConfig, env: Mapping[str, str]) -> Model:
        """Return the model. Raises ConfigurationError where none is named."""
        if config.model == "auto":
            raise ConfigurationError("llm.provider is litellm but llm.model is auto. Set llm.model to a name.")
        return LiteLLMModel(_with_key(config, env), config.model)

    def build_counter(self, config: LLMConfig, env: Mapping[str, str]) -> TokenCounter:
        """Return the counter with LiteLLM's tokeniser."""
        return LiteLLMCounter(config, config.model)

    def warm_up(self) -> None:
        """Import LiteLLM's late modules."""
        import_late_modules()


def _with_key(config: LLMConfig, env: Mapping[str, str]) -> LLMConfig:
    """Return the configuration with the key that is used, so that it can be removed from error messages.

    A self-hosted server may need none, but the SDK requires one.
    """
    provider, has_provider, _ = config.model.partition("/")
    if config.api_key.get_secret_value() or not (has_provider or config.base_url):
        return config  # without a provider LiteLLM finds it, and its key, by the model's name
    key = env.get(f"{provider.upper()}_API_KEY" if has_provider else "OPENAI_API_KEY", "")
    if config.base_url and not key and not env.get("OPENAI_API_KEY"):
        key = _PLACEHOLDER_KEY
    return config.model_copy(update={"api_key": SecretStr(key)})
