"""The provider `offline`: the built-in model, whatever its name."""

from collections.abc import Mapping

from shared.config import LLMConfig
from workflow.llm.model import Model
from workflow.llm.offline.model import OfflineModel
from workflow.llm.provider import ModelProvider


class OfflineProvider(ModelProvider):
    """Makes models that have tool calls and cannot fail."""

    is_complete = True

    def build_model(self, config: LLMConfig, env: Mapping[str, str]) -> Model:
        """Return the model."""
        return OfflineModel()
