"""The ModelProvider port: where models and their token counters come from."""

from collections.abc import Mapping
from typing import ClassVar, Protocol

from shared.config import LLMConfig
from workflow.llm.model import Model
from workflow.llm.token_counter import EstimatingCounter, TokenCounter


class ModelProvider(Protocol):
    """Makes models; what an entry point of the group `baud.models` names is called without arguments for one.

    `config.model` is the model's name; `auto` is left to the provider. A subclass needs `build_model` only.
    """

    # Whether its models are used as they are: without retries, and without tools described in text.
    is_complete: ClassVar[bool] = False

    def build_model(self, config: LLMConfig, env: Mapping[str, str]) -> Model:
        """Return the model; nothing is requested yet. Raises ConfigurationError."""

    def build_counter(self, config: LLMConfig, env: Mapping[str, str]) -> TokenCounter:
        """Return the token counter of this model; one that estimates."""
        return EstimatingCounter(config)

    def warm_up(self) -> None:
        """Import what the first call would import; may block for seconds."""
