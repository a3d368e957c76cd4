"""The provider `python`: a model of one's own, `python:package.module:callable`."""

import importlib
from collections.abc import Callable, Mapping
from typing import Any, Final

from shared.config import LLMConfig
from shared.errors import ConfigurationError
from workflow.llm.model import Model
from workflow.llm.provider import ModelProvider

PYTHON_PREFIX: Final = "python:"


class PythonProvider(ModelProvider):
    """Calls the named callable with its LLMConfig."""

    def build_model(self, config: LLMConfig, env: Mapping[str, str]) -> Model:
        """Return the model. Raises ConfigurationError where the name cannot be resolved."""
        target = config.model.removeprefix(PYTHON_PREFIX)
        model: Model = _load(target)(config)
        if not callable(getattr(model, "stream", None)):
            raise ConfigurationError(
                f"llm.model: {target} returned {type(model).__name__}, which has no stream method."
            )
        return model


def _load(target: str) -> Callable[..., Any]:
    """Return the callable named `package.module:callable`."""
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
