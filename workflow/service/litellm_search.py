"""LiteLLMSearch: the Search port over LiteLLM's search providers."""

import logging
from typing import Final

import litellm
import openai
from litellm.types.utils import SearchProviders

from shared.contract.result import SearchHit
from shared.errors import ConfigurationError
from workflow.errors import ToolError
from workflow.llm.litellm.setup import set_up_litellm

_log = logging.getLogger(__name__)

_TIMEOUT_SECONDS: Final = 30.0  # of one request; below the tool's own limit


class LiteLLMSearch:
    """Asks one provider; its key comes from the variable that LiteLLM names for it (TAVILY_API_KEY, ...)."""

    def __init__(self, provider: str, api_key: str = "", base_url: str = "") -> None:
        known = sorted(each.value for each in SearchProviders)
        if provider not in known:
            raise ConfigurationError(
                f"[tools.web_search.options]: provider is {provider!r}; it can be: {', '.join(known)}."
            )
        set_up_litellm()
        self._provider = provider
        self._api_key = api_key or None
        self._base_url = base_url or None

    async def search(self, query: str, max_results: int) -> tuple[SearchHit, ...]:
        """Return at most `max_results` hits, best first; some providers give more than they are asked for."""
        try:
            response = await litellm.asearch(
                query=query,
                search_provider=self._provider,
                max_results=max_results,
                api_key=self._api_key,
                api_base=self._base_url,
                timeout=_TIMEOUT_SECONDS,
            )
        except openai.OpenAIError as error:
            _log.warning("web search failed: %s", str(error).partition("\n")[0])
            raise ToolError(self._sentence(error)) from error
        return tuple(
            SearchHit(url=hit.url, title=hit.title, content=hit.snippet) for hit in response.results[:max_results]
        )

    def _sentence(self, error: openai.OpenAIError) -> str:
        if isinstance(error, openai.AuthenticationError | openai.PermissionDeniedError):
            reason = "refused the API key"
        elif isinstance(error, openai.RateLimitError):
            reason = "takes no more requests for now"
        elif isinstance(error, openai.APITimeoutError):
            reason = "did not answer in time"
        else:
            reason = f"failed ({type(error).__name__})"
        return f"The search provider {self._provider} {reason}. Go on without it, or tell the user what is missing."
