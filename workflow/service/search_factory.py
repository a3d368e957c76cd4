"""Builds the Search that `[tools.web_search.options]` asks for; without a provider LiteLLM is not imported."""

import importlib
import os
from collections.abc import Mapping
from typing import Final

from shared.errors import ConfigurationError
from workflow.service.search import Search

_OPTIONS: Final = ("provider", "base_url")
_LITELLM_SEARCH: Final = "workflow.service.litellm_search"


def build_search(options: Mapping[str, str | int | float | bool]) -> Search | None:
    """Return the search, or None where no `provider` is named. Raises ConfigurationError for a wrong option."""
    unknown = sorted(set(options) - set(_OPTIONS))
    if unknown:
        raise ConfigurationError(
            f"[tools.web_search.options]: {', '.join(unknown)} is not known; there are: {', '.join(_OPTIONS)}."
        )
    provider = str(options.get("provider", ""))
    if not provider:
        return None
    # LiteLLM downloads prices while it is imported, unless this is set.
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    module = importlib.import_module(_LITELLM_SEARCH)
    search: Search = module.LiteLLMSearch(provider, base_url=str(options.get("base_url", "")))
    return search
